"""`halfseen data check | info | convert | pose | mask`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

Paths = tyro.conf.Positional[tuple[Path, ...]]


@dataclass(frozen=True)
class DataCheck:
    """Say what a capture holds and what may be wrong with it."""

    capture: Paths
    """A folder in any supported layout, photos, or a video."""
    format: str | None = None
    """Which layout to read when the folder holds several (transforms, colmap, colmap-text, llff, idr, dtu, rgbd, srn, photos)."""
    sheet: Path | None = None
    """Write a contact sheet with all cameras drawn: FILE.png or FILE.html."""
    json: bool = False
    """Print one JSON object instead of text."""

    def run(self) -> None:
        from halfseen import api
        from halfseen.export import contact_sheet, sheet_text

        capture = api.load(*self.capture, layout=self.format)
        report = api.check(capture)
        if self.sheet is not None:
            contact_sheet.write(capture, report, self.sheet)
        if self.json:
            print(json.dumps({"rows": [{"name": capture.folder.resolve().name, **asdict(report)}]}))
            return
        print(sheet_text.title(capture))
        for line, _ in sheet_text.lines(report):
            print(f"  {line}")
        if self.sheet is not None:
            print(f"contact sheet: {self.sheet}")


@dataclass(frozen=True)
class DataInfo:
    """List the views of a capture with their ids, sizes and cameras."""

    capture: Paths
    """A folder in any supported layout, photos, or a video."""
    format: str | None = None
    """Which layout to read when the folder holds several (transforms, colmap, colmap-text, llff, idr, dtu, rgbd, srn, photos)."""
    json: bool = False
    """Print one JSON object instead of text."""

    def run(self) -> None:
        from halfseen import api

        capture = api.load(*self.capture, layout=self.format)
        rows = []
        for i, view in enumerate(capture.views):
            row: dict[str, object] = {
                "id": i,
                "name": view.name,
                "width": view.image.width,
                "height": view.image.height,
            }
            if view.camera is not None:
                row["centre"] = [round(v, 6) for v in view.camera.centres[0].tolist()]
                row["focal"] = [round(v, 2) for v in view.camera.intrinsics[0, :2].tolist()]
            elif view.focal_guess is not None:
                row["focal_guess"] = round(view.focal_guess, 1)
            row |= {"lens": view.lens.model, "mask": view.mask is not None, "depth": view.depth is not None}
            rows.append(row)
        if self.json:
            print(json.dumps({"layout": capture.layout, "rows": rows}))
            return
        print(f"{len(rows)} views, format {capture.layout}")
        for row in rows:
            print("  " + "  ".join(f"{k}={v}" if k not in ("id", "name") else str(v) for k, v in row.items()))


@dataclass(frozen=True)
class DataConvert:
    """Write a capture in another format, and say what was lost."""

    capture: Paths
    """A folder in any supported layout, photos, or a video."""
    to: str
    """The format: transforms, colmap, colmap-text, llff, idr, dtu, rgbd, srn, photos, video."""
    out: Path
    """A new folder for the result."""
    format: str | None = None
    """Which layout to read when the folder holds several (transforms, colmap, colmap-text, llff, idr, dtu, rgbd, srn, photos)."""

    def run(self) -> None:
        from halfseen import api

        capture = api.load(*self.capture, layout=self.format)
        lost = api.convert(capture, self.to, self.out)
        print(f"{len(capture)} views written to {self.out} as {self.to}")
        for note in capture.notes:
            print(f"  note: {note}")
        for sentence in lost:
            print(f"  lost: {sentence}")


@dataclass(frozen=True)
class DataPose:
    """Find the cameras of photos by what they share, and write a capture with them."""

    capture: Paths
    """A folder of photos, or photos; cameras that they may have are not looked at."""
    out: Path
    """A new folder for the photos that could be placed, with transforms.json."""
    fov: float | None = None
    """Horizontal opening angle of the photos in degrees (default: what their EXIF data say, else it is found)."""
    seed: int = 0
    """Same photos, seed and machine give the same cameras."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> None:
        from halfseen import api

        posed, report = api.pose(api.load(*self.capture), self.fov, self.seed)
        api.convert(posed, "transforms", self.out)
        rows = [asdict(p) for p in report.photos]
        if self.json:
            print(json.dumps({"rows": rows, **{k: v for k, v in asdict(report).items() if k != "photos"}}))
            return
        for p in report.photos:
            state = f"{p.points} points" if p.placed else "left out"
            print(f"  {p.name}: {state}, {p.matches} matches with {p.partner}")
        for sentence in report.sentences:
            print(sentence)
        print(f"{len(posed)} photos with cameras: {self.out}")


@dataclass(frozen=True)
class DataMask:
    """Cut the object out of photos, and write PHOTO.mask.png for each: white where the object is. Beside its photo, every command finds it."""

    capture: Paths
    """A folder in any supported layout, or photos. Where photos have cameras, the object is looked for where all of them look."""
    out: Path
    """A new folder for the masks, and for a sheet of all photos over their masks."""
    format: str | None = None
    """Which layout to read when the folder holds several."""

    def run(self) -> None:
        from halfseen import api

        capture = api.load(*self.capture, layout=self.format)
        for sentence in api.mask(capture, self.out):
            print(f"  {sentence}")
        print(f"{len(capture)} masks and sheet.png: {self.out}")
