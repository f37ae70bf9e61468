"""*Move*: what registers, approves, moves and mends versions.

Knows the registry, the release folder and the endpoint. Does not know Prefect, nor how anything is shown.
"""
