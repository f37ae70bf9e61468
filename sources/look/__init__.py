"""Look at files of which nothing is known, and guess what they hold."""
