"""`headgate init`: from files of which nothing is known to a configuration that runs."""
