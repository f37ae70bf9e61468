"""Plain files, block by block with Arrow: many times faster than row by row, and only where both read the same."""
