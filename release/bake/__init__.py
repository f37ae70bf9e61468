"""Watch what was just deployed: what is kept of a watch, and the watch itself."""
