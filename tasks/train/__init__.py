"""Tasks about models: fit, answer rows for teaching, package; and the folds that out-of-fold answers need."""
