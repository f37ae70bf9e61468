"""Statistics: pure functions of arrays, each with the paper that it is from."""
