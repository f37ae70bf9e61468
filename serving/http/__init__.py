"""HTTP: routes, requests, batching and the model that answers."""
