"""Jobs: each command of `model` as a process of its own, its result kept by content."""
