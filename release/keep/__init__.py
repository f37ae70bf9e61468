"""What is kept of what runs leave behind, and what goes."""
