"""Exit codes of the command line, for schedulers."""

DONE = 0
"""Deployed, or done."""
FAILED = 1
"""Anything without a code of its own: a crash, an endpoint that is down, a deployment that went back."""
USAGE = 2
"""Wrong usage or configuration."""
DATA_REJECTED = 3
"""The data gate stopped the run before anything was trained."""
MODEL_REJECTED = 4
"""A release gate failed or could not decide; the champion stays."""
