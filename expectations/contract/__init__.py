"""What clients may lose: what a candidate takes away beside the version that serves, and consent to it."""
