"""The bundle: what ships. Reads, checks and answers with it; needs numpy, tokenizers and the engine alone.

This folder is copied as it is into every registered version, so it imports nothing from outside itself.
"""
