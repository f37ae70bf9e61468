"""Training: encoder, heads, losses, the loop, calibration; from a job to a fitted folder."""
