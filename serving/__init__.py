"""*Answer*: the HTTP endpoint that follows the release folder and swaps without dropping a request.

Knows bundles, manifests and HTTP. Does not know how a model was trained or registered.
"""
