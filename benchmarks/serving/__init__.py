"""Answering: what a bundle gives through HTTP, beside other servers."""
