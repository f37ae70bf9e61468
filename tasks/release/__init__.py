"""Tasks that move versions: reconcile, register, promote, deploy, watch, roll back; and clean up."""
