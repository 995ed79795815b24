"""One logger for the library. Nothing is printed unless the host program configures logging; the command line does."""

from __future__ import annotations

import logging

logger = logging.getLogger("halfseen")
logger.addHandler(logging.NullHandler())


def to_stderr(verbose: bool) -> None:
    """Send the library's messages to stderr (used by the command line only)."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
