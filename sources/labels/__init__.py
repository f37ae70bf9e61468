"""Labels: read cells, find the targets of each head, and resolve the labels that a head has."""
