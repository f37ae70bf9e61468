"""The release gates: accuracy, champion, slices, latency, memory; from evidence to a verdict."""
