"""The data gate: rules about a dataset, evaluated with Great Expectations, and what came of them."""
