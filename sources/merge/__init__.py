"""Merge: one row a text, conflicts, splits, near-duplicates, fingerprints, the dataset folder."""
