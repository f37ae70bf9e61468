"""The quick way through an encoder: bounded shapes, flat weights, layers in one piece, packed attention."""
