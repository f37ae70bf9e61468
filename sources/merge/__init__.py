"""Merge: one row a text, conflicts, splits, near-duplicates, fingerprints, the rows that are handed on."""
