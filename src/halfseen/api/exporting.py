"""Files that other programs open: splats, meshes, videos, cameras, captures, a page.

All are in the capture's own frame and scale, and say where they came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from halfseen.api import rendering
from halfseen.common.errors import UserError, quote
from halfseen.common.files import new_folder
from halfseen.common.jsonfile import write_json
from halfseen.data import formats, splat_files, transforms_camera
from halfseen.export import bake, frames, mesh, mesh_files, provenance
from halfseen.export import report as reports
from halfseen.export.frames import Frame
from halfseen.fields import gaussian_files, seen
from halfseen.fields.contract import Field
from halfseen.fields.gaussians import Gaussians
from halfseen.runs.fields import load_field
from halfseen.runs.run import Run

FORMATS = (".ply", ".splat", ".mesh.ply", ".glb", ".obj", ".mp4", ".json", ".html")
REPORT = "report.html"
# Views around the scene that a mesh and baked splats are made from, besides those of the photos.
_AROUND = 24


def export(run: Run, path: str | Path, *, on_step: Callable[[int, int], None] = lambda done, of: None) -> list[str]:
    """Write a run as a file, by its suffix; returns sentences on what was done and lost."""
    path = Path(path)
    suffix = next((s for s in sorted(FORMATS, key=len, reverse=True) if path.name.lower().endswith(s)), None)
    if path.name in formats.names() and not path.exists():
        return _folder(run, path)
    if suffix is None:
        raise UserError(
            "the format of the export is not known",
            got=quote(path.name),
            accepted=", ".join((*FORMATS, *(f"{n}/" for n in formats.names()))),
            do="Choose one.",
        )
    for taken in (path, provenance.beside(path)):
        if taken.exists() and (taken == path or suffix == ".splat"):
            raise UserError(
                f"{quote(str(taken))} exists already", got="a file", accepted="a new name", do="Choose another."
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".mp4":
        shown = rendering.render(run, rendering.orbit(run))
        shown.save(path)
        return [f"{len(shown.cameras)} pictures around the scene"]
    if suffix == ".json":
        return _cameras(run, path)
    if suffix == ".html":
        report(run, path)
        return ["one page that needs nothing else"]
    if suffix in mesh_files.SUFFIXES:
        return _mesh(run, path)
    return _splats(run, path, on_step)


def report(
    run: Run, path: str | Path | None = None, *, on_step: Callable[[int, int], None] = lambda done, of: None
) -> Path:
    """Write a run as one HTML page that needs nothing else; returns its path (by default RUN/report.html)."""
    path = run.path / REPORT if path is None else Path(path)
    capture = run.capture()
    # Pictures are cut to what can be shown before they are rendered.
    chosen = capture.select(reports.spread(len(capture)))
    pictures, orbit = rendering.render(run, chosen.cameras()), rendering.render(run, rendering.orbit(run))
    # The orbit is drawn first.
    whole = len(orbit.cameras) + len(pictures.cameras)
    before = _counted(iter(orbit), 0, whole, on_step)
    reports.write(run, chosen, _counted(iter(pictures), len(orbit.cameras), whole, on_step), before, path)
    return path


def _counted(frames: Iterator[Frame], done: int, whole: int, on_step: Callable[[int, int], None]) -> Iterator[Frame]:
    for number, frame in enumerate(frames, done + 1):
        yield frame
        on_step(number, whole)


def _folder(run: Run, path: Path) -> list[str]:
    """A capture in the format that the folder is named after."""
    capture = run.capture()
    with new_folder(path) as partial:
        lost = formats.by_name(path.name).write(capture, partial)
        write_json(partial / provenance.FILE, provenance.of(run, provenance.shares_of_views(capture), "photos"))
    return [f"the {len(capture)} photos as they were fitted, with their cameras", *(f"lost: {s}" for s in lost)]


def _cameras(run: Run, path: Path) -> list[str]:
    capture = run.capture()
    facts = provenance.of(run, provenance.shares_of_views(capture), "photos")
    write_json(path, {**transforms_camera.document(capture.cameras()), provenance.WORD: facts})
    return [f"the cameras of the {len(capture)} photos, as 'render --cameras' reads them"]


def _splats(run: Run, path: Path, on_step: Callable[[int, int], None]) -> list[str]:
    field, said = load_field(run), []
    facts: dict[str, Any] = {}
    if not isinstance(field, Gaussians):
        inside = field.to_user.inverse()
        captured, around = inside.cameras(run.capture().cameras()), inside.cameras(rendering.orbit(run, _AROUND))
        baked = bake.bake(field, captured, around, on_step=on_step)
        loss = f"baked into {len(baked.field)} Gaussians: PSNR {baked.psnr:.1f} dB against the field's own pictures, on {baked.views} views not fitted"
        field, said = baked.field, [loss]
        facts["baked_psnr"] = round(baked.psnr, 2)
    counts = _views_of(run, field)
    facts = {**provenance.of(run, provenance.shares_of(counts), "Gaussians"), **facts}
    splats = gaussian_files.splats_of(field, counts, provenance.lines(facts))
    if path.suffix.lower() == ".splat":
        splat_files.write_splat(path, splats)
        write_json(provenance.beside(path), facts)
        return [
            *said,
            "view dependence and 'seen' are lost: .splat has no place for them",
            f"where it came from is in {provenance.beside(path).name}",
        ]
    splat_files.write_ply(path, splats)
    return [*said, f"{len(splats.xyz)} Gaussians with 'seen' (0 no photo, 1 one, 2 several)"]


def _views_of(run: Run, field: Gaussians) -> Any:
    """How many photos see each Gaussian, 2 for two or more.

    Nothing is asked about sides, as it is for pixels and vertices: a flat Gaussian is one thing with one colour that shows on both,
    so a photo of either side saw it, and the sign of its shortest axis means nothing. A layer that lies behind another by less
    than the tolerance of depth counts with it.
    """
    witness = frames.witness_of(field, run.capture())
    return seen.count_views(witness, field.values["xyz"].detach().cpu()).clamp(max=2)


def _mesh(run: Run, path: Path) -> list[str]:
    field: Field = load_field(run)
    inside = field.to_user.inverse()
    made = mesh.of(field, inside.cameras(rendering.orbit(run, _AROUND)), frames.witness_of(field, run.capture()))
    mesh_files.write(path, made, provenance.of(run, provenance.shares_of(made.seen), "vertices"))
    said = [f"{len(made.xyz)} vertices, {len(made.faces)} faces, coloured"]
    return [*said, "'seen' is lost: OBJ has no place for it"] if path.suffix.lower() == ".obj" else said
