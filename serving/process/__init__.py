"""Processes: starting, supervising, asking and stopping an endpoint."""
