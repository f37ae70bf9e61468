"""The release report: whether a model may ship, and on what evidence."""
