"""An empty database of Prefect, so that a server on a new state folder starts within seconds."""
