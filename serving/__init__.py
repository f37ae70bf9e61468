"""*Answer*: the HTTP endpoint that follows the release folder and swaps without dropping a request.

`store/` holds signed releases, `http/` answers requests, `process/` runs it. Does not know how a model was
trained or registered.
"""
