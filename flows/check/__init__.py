"""Look before a run: what would stop it later is found in about a second, all of it at once."""
