"""The release gates, from evidence to a verdict: accuracy, use, champion, slices, latency, HTTP, memory."""
