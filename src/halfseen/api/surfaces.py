"""A run's mesh beside DTU's scanned surface: culled by the object masks, brought to millimetres, measured by DTU's own procedure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from halfseen.api import rendering
from halfseen.cameras.cameras import Cameras, concat
from halfseen.cameras.similarity import Similarity
from halfseen.common.errors import UserError, quote
from halfseen.data import dtu as layout
from halfseen.data import dtu_truth, idr
from halfseen.data.capture import Capture
from halfseen.data.load import WHOLE
from halfseen.export import frames, mesh
from halfseen.metrics import dtu
from halfseen.runs.fields import load_field
from halfseen.runs.run import Run

DTU_SURFACE = "dtu-surface"
# Cells along a side of the grid that the mesh comes from, and views around the scene besides the photos'.
_SIDE, _AROUND = 256, 24


def evaluate_surface(run: Run, against: Capture | None, truth: Path | None, *, side: int = _SIDE) -> dict[str, Any]:
    """Accuracy, completeness and chamfer distance (mm) of a finished run of a DTU scan; `truth` holds DTU's Points/ and ObsMask/."""
    if against is None or truth is None:
        raise UserError(
            f"protocol {DTU_SURFACE} needs the scan and its truth",
            got="no --against" if against is None else "no --truth",
            accepted="the folder that the run was made from, and DTU's folder with Points/ and ObsMask/",
            do="Name them with --against and --truth.",
        )
    scan = dtu_truth.scan_number(against.folder)
    to_world = _to_millimetres(against)
    field = load_field(run)
    around = field.to_user.inverse().cameras(rendering.orbit(run, _AROUND))
    made = mesh.of(field, around, frames.witness_of(field, run.capture()), side)
    cameras, masks = _judges(against)
    xyz, faces = dtu.cull(torch.from_numpy(made.xyz), torch.from_numpy(made.faces), cameras, masks)
    scanned, observed = _truth(truth, scan)
    score = dtu.score(to_world.points(xyz), faces, scanned, observed)
    stated = {
        "name": DTU_SURFACE,
        "split": f"{run.config['split']['name']}: {len(run.config['split']['train'])} inputs",
        "size": None,
        "mask": f"mesh of {side}^3 cells, culled by {len(masks)} masks grown by {dtu.DILATION} px",
        "spacing_mm": dtu.SPACING,
        "furthest_mm": dtu.FURTHEST,
    }
    mean = {"accuracy": score.accuracy, "completeness": score.completeness, "chamfer": score.mean}
    return {"protocol": stated, "views": {}, "mean": mean, "absent": []}


def _judges(capture: Capture) -> tuple[Cameras, list[Tensor]]:
    """Cameras (the capture's frame) of all views that have an object mask, at the size of their masks bool [H, W]."""
    judged = [v for v in capture.views if v.mask is not None and v.camera is not None]
    if not judged or capture.mask_role != "evaluation":
        raise UserError(
            "the scan has no object masks",
            got=f"{len(judged)} masks of role {capture.mask_role}",
            accepted="masks for evaluation, as DTU's layouts have them",
            do="Copy the masks.",
        )
    masks = [v.mask.read_grey() >= WHOLE for v in judged if v.mask is not None]
    cameras = [v.camera.resized(*m.shape[::-1]) for v, m in zip(judged, masks, strict=True) if v.camera is not None]
    return concat(cameras), masks


def _truth(folder: Path, scan: int) -> tuple[Tensor, dtu.Observed]:
    """Scanned points [M, 3] (mm) and where they were looked for."""
    found = dtu_truth.read(folder, scan)
    mask, low, high, plane = (torch.tensor(a) for a in (found.mask, found.low, found.high, found.plane))
    return torch.from_numpy(found.points), dtu.Observed(mask, low, high, found.spacing, plane)


def _to_millimetres(capture: Capture) -> Similarity:
    """From the capture's frame to DTU's world."""
    if capture.layout == layout.NAME:
        return Similarity.identity()
    if capture.layout == idr.NAME:
        return idr.to_world(capture.folder)
    raise UserError(
        "the scan's frame is not known",
        got=f"a capture of format {quote(capture.layout)}",
        accepted=f"{layout.NAME}, {idr.NAME}",
        do="Reconstruct the scan from DTU's own files.",
    )
