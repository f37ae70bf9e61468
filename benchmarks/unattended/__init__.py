"""What a year without a hand comes to."""
