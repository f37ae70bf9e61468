"""Charts as inline SVG, one kind a module: pure functions of figures that judge nothing."""
