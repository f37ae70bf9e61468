"""The command line: `headgate COMMAND`."""
