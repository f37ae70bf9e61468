"""Tasks that move versions: register, promote, deploy, roll back, reconcile."""
