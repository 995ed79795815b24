"""nerfstudio, instant-ngp and Blender `transforms.json`: OpenGL camera-to-world, intrinsics at the top or in each frame.

Also read: `transforms_train.json` + `_val` + `_test` (Blender), masks, depth maps (millimetres unless `depth_unit_scale_factor`
says otherwise), point clouds, `train_filenames`, and seva's split files. Frames are ordered by file path, as nerfstudio and
seva order them, so that split ids mean the same views; Blender's keep the order of their files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from halfseen.common.errors import UserError, quote
from halfseen.common.files import inside
from halfseen.common.jsonfile import Fields, finite, read_json
from halfseen.data import build, ply
from halfseen.data import transforms_camera as camera_keys
from halfseen.data.capture import Capture, Colour, Depth, MaskRole, PictureFile, Split, View, read_npy
from halfseen.images import io

NAME = "transforms"
FILE = "transforms.json"
BLENDER_PARTS = ("train", "val", "test")
# nerfstudio: depth files hold millimetres of the scene's unit.
DEPTH_UNIT = 0.001


def find(folder: Path) -> bool:
    """Whether this folder holds the format."""
    return (folder / FILE).is_file() or (folder / "transforms_train.json").is_file()


def read(folder: Path) -> Capture:
    """Read a capture."""
    if (folder / FILE).is_file():
        return _read_single(folder)
    return _read_blender(folder)


def _read_single(folder: Path) -> Capture:
    top = Fields.of(read_json(folder / FILE), FILE)
    views, absent, notes = _read_frames(folder, top)
    views = sorted(views, key=lambda v: v.name)
    build.check_unique((v.name for v in views), FILE)
    splits = _listed_splits(top, views) + build.read_splits(folder, len(views))
    if absent:
        notes.append(
            f"{len(absent)} of {len(views) + len(absent)} listed pictures are absent and were left out ({', '.join(absent[:3])}, ...)"
        )
    points = None
    if "ply_file_path" in top:
        points = ply.read_points(inside(folder, top.text("ply_file_path"), what=f"{FILE}: 'ply_file_path'"))
    role, background = _mask_role(top)
    return Capture(
        tuple(views),
        NAME,
        folder,
        points=points,
        splits=splits,
        mask_role=role,
        background=background,
        units=top.text("units", "unknown"),
        notes=tuple(notes),
    )


def _read_blender(folder: Path) -> Capture:
    views: list[View] = []
    ids: dict[str, tuple[int, ...]] = {}
    notes: list[str] = []
    for part in BLENDER_PARTS:
        path = folder / f"transforms_{part}.json"
        if path.is_file():
            found, absent, more = _read_frames(folder, Fields.of(read_json(path), path.name))
            ids[part] = tuple(range(len(views), len(views) + len(found)))
            views += found
            notes += more + [f"{path.name}: {len(absent)} pictures are absent and were left out" for _ in absent[:1]]
    build.check_unique((v.name for v in views), "transforms_*.json")
    split = Split("blender", ids.get("train", ()), ids.get("test", ids.get("val", ())))
    return Capture(tuple(views), NAME, folder, splits=(split,), notes=tuple(dict.fromkeys(notes)))


def _read_frames(folder: Path, top: Fields) -> tuple[list[View], list[str], list[str]]:
    """Views of all frames whose pictures exist, names of absent pictures, and notes."""
    frames = top.items("frames")
    build.check_count(len(frames), top.where)
    views, absent, notes = [], [], []
    for i, data in enumerate(frames):
        frame = Fields.of(data, f"{top.where}: frame {i}")
        name = frame.text("file_path")
        path = _picture_path(folder, name, frame.where)
        if path is None:
            absent.append(name)
            continue
        view, note = _view(folder, top, frame, path)
        views.append(view)
        notes += [note] if note else []
    if not views:
        raise UserError(
            f"{top.where}: no listed picture exists",
            got=quote(absent[0]),
            accepted="pictures beside the file",
            do="Copy the pictures next to it.",
        )
    return views, absent, list(dict.fromkeys(notes))


def _picture_path(folder: Path, name: str, where: str) -> Path | None:
    path = inside(folder, name, what=f"{where}: 'file_path'")
    if path.is_file():
        return path
    # Blender lists pictures without their extension.
    return next((p for s in (".png", ".jpg", ".jpeg") if (p := path.with_name(path.name + s)).is_file()), None)


def _view(folder: Path, top: Fields, frame: Fields, path: Path) -> tuple[View, str | None]:
    image = build.picture(path)
    merged = camera_keys.merge(top, frame)
    intrinsics, note = camera_keys.of_picture(merged, image)
    view = View(
        name=path.relative_to(folder.resolve()).as_posix(),
        image=image,
        camera=build.camera(camera_keys.pose(frame), intrinsics, (image.width, image.height), frame.where),
        lens=camera_keys.lens(merged),
        mask=_mask(folder, frame),
        depth=_depth(folder, top, frame),
        near_far=_near_far(frame),
    )
    return view, note


def _mask(folder: Path, frame: Fields) -> PictureFile | None:
    if "mask_path" not in frame:
        return None
    return build.picture(inside(folder, frame.text("mask_path"), what=f"{frame.where}: 'mask_path'"))


def _depth(folder: Path, top: Fields, frame: Fields) -> Depth | None:
    if "depth_file_path" not in frame:
        return None
    path = inside(folder, frame.text("depth_file_path"), what=f"{frame.where}: 'depth_file_path'")
    unit = top.number("depth_unit_scale_factor", DEPTH_UNIT)
    if path.suffix == ".npy":
        shape = read_npy(path, "f").shape
        if len(shape) != 2:
            raise UserError(
                f"{frame.where}: the depth map is not usable",
                got=f"shape {shape}",
                accepted="one value for each pixel",
                do="Write it again.",
            )
        return Depth(path, shape[1], shape[0], unit)
    return Depth(path, *io.probe_depth(path), unit)


def _near_far(frame: Fields) -> tuple[float, float] | None:
    if "near" not in frame or "far" not in frame:
        return None
    near, far = frame.number("near"), frame.number("far")
    return (near, far) if 0 < near < far else None


def _mask_role(top: Fields) -> tuple[MaskRole | None, Colour | None]:
    """`mask_role` and `background` are ours; other writers do not state them."""
    role = top.values.get("mask_role")
    colour: Any = top.values.get("background")
    background = None
    if isinstance(colour, list) and len(colour) == 3:
        r, g, b = (finite(c, f"{top.where}: 'background'") for c in colour)
        background = (r, g, b)
    return (role if role in ("object", "valid") else None), background


def _listed_splits(top: Fields, views: list[View]) -> tuple[Split, ...]:
    if "train_filenames" not in top:
        return ()
    index = {v.name: i for i, v in enumerate(views)}

    def ids(key: str) -> tuple[int, ...]:
        names = top.items(key) if key in top else []
        return tuple(index[n.removeprefix("./")] for n in names if isinstance(n, str) and n.removeprefix("./") in index)

    return (Split("filenames", ids("train_filenames"), ids("test_filenames") or ids("val_filenames")),)
