"""A dataset folder written by the contract, for every test here."""

from tests.support.datasets import heads, make_row, rows, write_dataset

__all__ = ["heads", "make_row", "rows", "write_dataset"]
