"""The context of Great Expectations that a user opens and continues."""
