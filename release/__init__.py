"""*Move*: what registers, approves and moves versions, and puts right what a crash left half done.

Knows the registry, the release folder and the endpoint. Does not know Prefect, nor how anything is shown.
"""
