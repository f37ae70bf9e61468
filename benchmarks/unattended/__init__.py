"""Runs that nobody starts by hand: a year of them, what it leaves on disk, and runs with nothing to do."""
