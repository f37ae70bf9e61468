"""Measuring: metrics, the scores of a bundle on a split, its latency and memory."""
