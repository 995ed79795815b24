"""`python -m halfseen` is the command `halfseen`."""

from halfseen.cli.main import entry

entry()
