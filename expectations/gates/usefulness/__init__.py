"""Gates that ask whether a model is of any use by itself, not whether it is as good as another one."""
