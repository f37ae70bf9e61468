"""What clients are answered: what a candidate takes away from it beside the version that serves."""
