"""Moves: promotion, rollback, restoration, adoption, new keys, and finishing what a crash left half done."""
