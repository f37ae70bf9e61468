"""Races against peers and campaigns against faults: each one a command, `python -m benchmarks.NAME`."""
