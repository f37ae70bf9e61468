"""The one room that knows Great Expectations: the gate's evaluation, and a context that users continue."""
