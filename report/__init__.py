"""*Show*: pages, tables and charts of what was found, and progress while it is sought.

Knows figures and verdicts. Does not know the registry, Prefect or how anything is moved (`release`).
"""
