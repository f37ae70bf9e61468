"""Export: from a fitted folder to a bundle: graph, precision, golden answers."""
