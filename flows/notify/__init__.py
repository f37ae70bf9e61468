"""Telling somebody: which events go where, what a message says, how often, and by which process."""
