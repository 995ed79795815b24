"""Where a run came from: what its inputs were made of, to the byte, and what made it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from halfseen.common.files import sha256
from halfseen.common.jsonfile import read_json
from halfseen.data.capture import Capture, Picture, PictureArray
from halfseen.runs.run import PROVENANCE, Run


def describe(capture: Capture) -> dict[str, Any]:
    """The inputs and the machine; what a method adds comes on top."""
    return {
        "halfseen": metadata.version("halfseen"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "inputs": fingerprints(capture),
        "cameras_from": capture.layout,
    }


def same_inputs(run: Run, capture: Capture) -> bool:
    """Whether the views of a capture that the run's split calls inputs are what the run was made from."""
    train = [int(i) for i in run.config["split"]["train"]]
    if max(train) >= len(capture):
        return False
    return bool(fingerprints(capture.select(train)) == read_json(run.path / PROVENANCE).get("inputs"))


def fingerprints(capture: Capture) -> list[dict[str, str]]:
    """What each view was made of: hashes of its picture, mask and depth files, and of its camera and lens."""
    rows = []
    for view in capture.views:
        row = {"name": view.name}
        depth = None if view.depth is None else view.depth.source
        for kind, path in (("sha256", _path(view.image)), ("mask", _path(view.mask)), ("depth", depth)):
            if isinstance(path, Path):
                row[kind] = sha256(path)
        if view.camera is not None:
            numbers = [view.camera.c2w.tolist(), view.camera.intrinsics.tolist(), view.lens.model, view.lens.params]
            row["camera"] = hashlib.sha256(json.dumps(numbers).encode()).hexdigest()
        rows.append(row)
    return rows


def _path(picture: Picture | None) -> Path | None:
    return None if picture is None or isinstance(picture, PictureArray) else picture.path
