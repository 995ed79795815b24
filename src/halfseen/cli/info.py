"""`halfseen info`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

if TYPE_CHECKING:
    from halfseen.runs.run import Run


# Bytes at either end of a file in which it says where it came from.
_HEAD = 1 << 20
_PAGES = (".html", ".htm")


@dataclass(frozen=True)
class Info:
    """Say what a file or folder is: a run, a capture, renderings, cameras, points, splats, a mesh, a picture, a video, a report; and where it came from."""

    file: tyro.conf.Positional[Path]
    """The file or folder."""

    def run(self) -> None:
        for line in _describe(self.file):
            print(line)


def _describe(path: Path) -> list[str]:
    from halfseen import api
    from halfseen.data import ply, splat_files
    from halfseen.images import io, video

    suffix = path.suffix.lower()
    if path.is_dir():
        return _folder_lines(path)
    if suffix == ".splat" or (suffix == ".ply" and splat_files.is_ply(path)):
        return _splat_lines(path)
    if suffix in (".glb", ".obj"):
        return ["mesh", *_origin(path)]
    if suffix in _PAGES and path.is_file() and (said := _origin(path)):
        return ["report: a page for browsers", *said]
    if suffix == ".ply":
        points = ply.read_points(path)
        return [
            f"point cloud: {len(points.xyz)} points, from {points.xyz.min(0).round(3).tolist()} to {points.xyz.max(0).round(3).tolist()}"
            if len(points.xyz)
            else "point cloud: empty",
            *_origin(path),
        ]
    if suffix == ".json":
        cameras, _ = api.read_cameras(path)
        size = f"{cameras.size(0)[0]}x{cameras.size(0)[1]}"
        return [f"camera file: {len(cameras)} cameras of {size} pixels", *_origin(path)]
    if suffix in io.PHOTO_SUFFIXES:
        width, height = io.probe(path)
        return [f"picture: {width}x{height}"]
    if suffix in video.VIDEO_SUFFIXES:
        found = video.info(path)
        return [f"video: {found.width}x{found.height}, {found.frames} frames at {found.fps:g} a second", *_origin(path)]
    return _capture_lines(path)


def _folder_lines(path: Path) -> list[str]:
    """A run, renderings, or a capture."""
    from halfseen import api
    from halfseen.export import frames
    from halfseen.runs.run import CONFIG

    if (path / CONFIG).is_file():
        return _run_lines(api.open_run(path))
    if (path / frames.CAMERAS).is_file() and (path / "rgb").is_dir():
        cameras, _ = api.read_cameras(path / frames.CAMERAS)
        size = f"{cameras.size(0)[0]}x{cameras.size(0)[1]}"
        return [f"renderings: {len(cameras)} frames of {size} pixels", *_origin(path)]
    return [*_capture_lines(path), *_origin(path)]


def _capture_lines(path: Path) -> list[str]:
    from halfseen import api
    from halfseen.export import sheet_text

    capture = api.load(path)
    return [sheet_text.title(capture), *(f"  {line}" for line, _ in sheet_text.lines(api.check(capture)))]


def _splat_lines(path: Path) -> list[str]:
    from halfseen.data import splat_files

    found = splat_files.read(path)
    bands = round(found.sh.shape[1] ** 0.5)
    low, high = (found.xyz.min(0), found.xyz.max(0)) if len(found.xyz) else ([0, 0, 0], [0, 0, 0])
    place = " to ".join(str([round(float(x), 3) for x in corner]) for corner in (low, high))
    out = [f"splats: {len(found.xyz)} Gaussians, spherical harmonics of degree {bands - 1}, from {place}"]
    if found.dropped:
        out.append(f"  {found.dropped} more were dropped: no numbers, or too thin to see")
    if found.seen is not None:
        shares = [100 * float((found.seen == k).mean()) for k in (2, 1, 0)]
        out.append("  seen by several photos {:.0f} %, by one {:.0f} %, by none {:.0f} %".format(*shares))
    return [*out, *_origin(path)]


def _origin(path: Path) -> list[str]:
    """Where a file or folder says that it came from, if it was made here."""
    from halfseen.common.jsonfile import read_json
    from halfseen.export import mesh_files, provenance

    side = path / provenance.FILE if path.is_dir() else provenance.beside(path)
    if side.is_file():
        facts = read_json(side)
    elif path.is_dir():
        facts = None
    elif path.suffix.lower() == ".json":
        found = read_json(path)
        facts = found.get(provenance.WORD) if isinstance(found, dict) else None
    else:
        with path.open("rb") as f:
            head = f.read(_HEAD)
            f.seek(max(0, path.stat().st_size - _HEAD))
            tail = f.read()
        facts = mesh_files.facts_of_glb(head) or provenance.parse((head + tail).decode("utf-8", "replace"))
    return [f"  {s}" for s in provenance.sentences(facts)] if isinstance(facts, dict) and "program" in facts else []


def _run_lines(run: Run) -> list[str]:
    from halfseen.common.jsonfile import read_json
    from halfseen.runs.run import METRICS

    request = run.config["request"]
    steps = run.checkpoints()
    out = [
        f"run: method {request['method']} {request['variant']}, field {request['field']}, seed {request['seed']}",
        f"  inputs: {len(run.config['split']['train'])} views ({run.config['split']['name']})",
        f"  checkpoints: {', '.join(map(str, steps)) or 'none yet'}; {'finished' if run.finished else 'not finished'}",
    ]
    if run.finished:
        metrics = read_json(run.path / METRICS)
        held = f"{metrics['psnr_held_out']} dB on held-out photos, " if "psnr_held_out" in metrics else ""
        out.append(f"  PSNR {held}{metrics['psnr_inputs']} dB on its inputs ({metrics['inputs']['protocol']['split']})")
    return out
