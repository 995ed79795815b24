"""halfseen: 3D scenes from a few photos, with what no photo saw filled in and marked as such."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from halfseen.api import (
        advise,
        check,
        compare,
        convert,
        evaluate,
        export,
        load,
        load_prior,
        open_run,
        orbit,
        pose,
        read_cameras,
        reconstruct,
        render,
        report,
    )
    from halfseen.common.errors import UserError

__all__ = [
    "UserError",
    "advise",
    "check",
    "compare",
    "convert",
    "evaluate",
    "export",
    "load",
    "load_prior",
    "open_run",
    "orbit",
    "pose",
    "read_cameras",
    "reconstruct",
    "render",
    "report",
]

_HOMES = {"UserError": "halfseen.common.errors"}


def __getattr__(name: str) -> Any:
    """Public names load torch only when they are used, so that importing halfseen stays instant."""
    if name not in __all__:
        raise AttributeError(f"module 'halfseen' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "halfseen.api")), name)


def __dir__() -> list[str]:
    """The public names, for completion."""
    return [*__all__, "__version__"]
