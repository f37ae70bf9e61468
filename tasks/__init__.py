"""*Act*: one Prefect task a file, thin: it shows a step's progress and calls a function of a room below.

Knows every layer below. Does not know the order of things: that is `flows`.
"""
