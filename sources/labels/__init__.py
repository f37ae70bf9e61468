"""Labels: what a cell says, the targets of each head, and the labels that a head has."""
