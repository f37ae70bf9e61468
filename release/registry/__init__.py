"""The MLflow registry: client, runs, registered models, judgements, the local store."""
