"""Races against peers and against limits: `python -m benchmarks` lists them."""
