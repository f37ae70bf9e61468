"""Moves: promotion, rollback, restoration, and finishing what a crash left half done."""
