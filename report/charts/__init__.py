"""Charts: figures as SVG, drawn with one style."""
