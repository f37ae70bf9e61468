"""Reads a bundle, which is what ships, checks it and answers with it; needs numpy, tokenizers and the engine.

This folder is copied as it is into every registered version, so it imports nothing from outside itself.
"""
