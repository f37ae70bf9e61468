"""Tasks that judge: score, time, decide."""
