"""`headgate export`."""
