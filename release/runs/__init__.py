"""What a run leaves for those after it: inputs and verdict; who runs now; waiting for a registry."""
