"""Files of the tools that people label with: one module a tool, all of which give an `Export`."""
