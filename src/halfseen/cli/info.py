"""`halfseen info`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

if TYPE_CHECKING:
    from halfseen.runs.run import Run


@dataclass(frozen=True)
class Info:
    """Say what a file or folder is: a run, a capture, a camera file, a point cloud, a picture, a video."""

    file: tyro.conf.Positional[Path]
    """The file or folder."""

    def run(self) -> None:
        for line in _describe(self.file):
            print(line)


def _describe(path: Path) -> list[str]:
    from halfseen import api
    from halfseen.data import ply
    from halfseen.export import sheet_text
    from halfseen.images import io, video
    from halfseen.runs.run import CONFIG

    if path.is_dir() and (path / CONFIG).is_file():
        return _run_lines(api.open_run(path))
    if path.suffix.lower() == ".ply":
        points = ply.read_points(path)
        return [
            f"point cloud: {len(points.xyz)} points, from {points.xyz.min(0).round(3).tolist()} to {points.xyz.max(0).round(3).tolist()}"
            if len(points.xyz)
            else "point cloud: empty"
        ]
    if path.suffix.lower() == ".json":
        cameras, _ = api.read_cameras(path)
        return [f"camera file: {len(cameras)} cameras of {cameras.size(0)[0]}x{cameras.size(0)[1]} pixels"]
    if path.suffix.lower() in io.PHOTO_SUFFIXES:
        width, height = io.probe(path)
        return [f"picture: {width}x{height}"]
    if path.suffix.lower() in video.VIDEO_SUFFIXES:
        found = video.info(path)
        return [f"video: {found.width}x{found.height}, {found.frames} frames at {found.fps:g} a second"]
    capture = api.load(path)
    return [sheet_text.title(capture), *(f"  {line}" for line, _ in sheet_text.lines(api.check(capture)))]


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
        out.append(f"  PSNR {held}{metrics['psnr_inputs']} dB on its inputs ({metrics['protocol']})")
    return out
