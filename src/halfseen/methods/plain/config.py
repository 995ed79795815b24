"""The variants of the plain method. The first is what users get who do not choose."""

from __future__ import annotations

from halfseen.methods.photometric.config import BASIC, CLASSIC

VARIANTS = {"classic": CLASSIC, "basic": BASIC}
