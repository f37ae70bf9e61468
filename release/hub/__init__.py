"""Versions given to the Hugging Face hub and to whoever uses transformers."""
