"""The command line: the only layer that knows everything and the only one that prints."""
