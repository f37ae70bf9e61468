"""Tasks that judge: find champion and candidate, compare inputs, score, time, decide, keep the evidence."""
