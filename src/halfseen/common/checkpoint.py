"""Checkpoints without pickle: a folder of safetensors files and one JSON, complete or absent."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halfseen.common.errors import UserError, quote
from halfseen.common.files import new_folder
from halfseen.common.jsonfile import read_json, write_json

if TYPE_CHECKING:
    import torch

META = "state.json"

# A group is one safetensors file: {"field": {...}, "optimizer": {...}}.
Groups = Mapping[str, Mapping[str, "torch.Tensor"]]


def save(folder: Path, groups: Groups, meta: dict[str, Any]) -> None:
    """Write one checkpoint folder atomically, replacing an older one of the same name."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    if folder.exists():
        shutil.rmtree(folder)
    with new_folder(folder) as partial:
        for name, tensors in groups.items():
            path = partial / f"{name}.safetensors"
            try:
                save_file({k: t.detach().cpu().contiguous() for k, t in tensors.items()}, str(path))
            except SafetensorError as error:
                # The library words the system's error itself; its number is all that is left of it.
                code = errno.ENOSPC if f"os error {errno.ENOSPC}" in str(error) else errno.EIO
                raise OSError(code, str(error), str(path)) from error
        write_json(partial / META, {**meta, "groups": sorted(groups)})


def load(folder: Path) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, Any]]:
    """Read a checkpoint folder: (groups, meta). Broken files are reported by name."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    meta = read_json(folder / META)
    names = meta.get("groups") if isinstance(meta, dict) else None
    if not isinstance(names, list) or not all(isinstance(n, str) and n.isidentifier() for n in names):
        raise UserError(
            f"checkpoint {quote(str(folder))} is damaged",
            got=f"no list of groups in {META}",
            accepted="a checkpoint written by halfseen",
            do="Start the run again without --resume.",
        )
    groups = {}
    for name in names:
        path = folder / f"{name}.safetensors"
        try:
            groups[name] = load_file(str(path))
        except (SafetensorError, OSError, ValueError) as error:
            raise UserError(
                f"checkpoint file {quote(str(path))} cannot be read",
                got=str(error),
                accepted="a whole safetensors file",
                do="Remove this checkpoint folder and resume from an older one.",
            ) from error
    return groups, meta
