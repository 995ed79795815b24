"""Amazon Berkeley Objects' material benchmark as it is downloaded: one item is a folder, each of its lightings a capture.

    ITEM/metadata.json                      views[i].K (9 numbers) and views[i].pose (16, camera-to-world, OpenGL axes)
    ITEM/render/LIGHT/render_I.jpg          512 x 512, I counts views
    ITEM/segmentation/segmentation_I.jpg    the object is white
    train_test_split.csv                    item, split, ... (beside the items)
    3dmodels.csv.gz                         item, ..., extent x, y, z (beside the items, if at all)

Poses are divided by the length of the model's extents where these are known, so that every object fills a sphere of radius 0.5.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from halfseen.cameras import convert
from halfseen.common.errors import UserError, from_os_error, quote
from halfseen.common.jsonfile import Fields, read_json
from halfseen.data import build
from halfseen.data.capture import Capture, Picture, SharpMask, View
from halfseen.images import color

NAME = "abo"
METADATA, RENDER, SEGMENTATION = "metadata.json", "render", "segmentation"
SPLITS, EXTENTS = "train_test_split.csv", "3dmodels.csv.gz"
_NUMBER = re.compile(r"render_(\d{1,6})\.(jpg|jpeg|png)")
_K, _POSE = 9, 16
# Values of three extents at the end of a row, and the most rows that a table may have.
_AXES, _MOST_ROWS = 3, 10_000_000


def find(folder: Path) -> bool:
    """Whether this folder is an item, or one of its lightings."""
    item = _item(folder)
    return (item / METADATA).is_file() and (item / RENDER).is_dir()


def scenes(root: Path, split: str | None = None) -> list[Path]:
    """Folders of all lightings of all items of a data set, sorted; of one split of its table (train, val or test), if it has one."""
    wanted = None if split is None else _of_split(root / SPLITS, split)
    items = sorted(p.parent for p in root.glob(f"*/{METADATA}") if find(p.parent))
    chosen = [i for i in items if wanted is None or i.name in wanted]
    return [light for item in chosen for light in _lights(item)]


def read(folder: Path) -> Capture:
    """Read one lighting: the one that is named, else an item's first."""
    item = _item(folder)
    light = folder if folder != item else _lights(item)[0]
    stated = Fields.of(read_json(item / METADATA), METADATA).items("views")
    scale, note = _scale(item)
    views = []
    for number, path in _photos(light):
        if number >= len(stated):
            raise UserError(
                f"{path.name} has no camera",
                got=f"{len(stated)} views in {METADATA}",
                accepted="one for each picture",
                do="Copy the item again.",
            )
        views.append(_view(item, light, path, number, stated[number], scale))
    build.check_count(len(views), f"{light.name}")
    others = len(_lights(item)) - 1
    more = (f"the item has {others} other lightings; {light.name} was read",) if others and folder == item else ()
    return Capture(tuple(views), NAME, light, mask_role="object", background=color.WHITE).noted(note, *more)


def _item(folder: Path) -> Path:
    return folder.parent.parent if folder.parent.name == RENDER else folder


def _lights(item: Path) -> list[Path]:
    found = sorted(p for p in (item / RENDER).iterdir() if p.is_dir())
    if not found:
        raise UserError(
            f"item {quote(item.name)} has no pictures",
            got=f"an empty {RENDER}/",
            accepted=f"{RENDER}/LIGHT/render_0.jpg and more",
            do="Copy it again.",
        )
    return found


def _photos(light: Path) -> list[tuple[int, Path]]:
    """Pictures by their numbers, which do not sort as text does."""
    return sorted((int(m.group(1)), p) for p in light.iterdir() if (m := _NUMBER.fullmatch(p.name)))


def _view(item: Path, light: Path, path: Path, number: int, stated: object, scale: float) -> View:
    where = f"{METADATA}: view {number}"
    fields = Fields.of(stated, where)
    k, pose = _numbers(fields, "K", _K), _numbers(fields, "pose", _POSE).reshape(4, 4)
    c2w = convert.swap_opengl(torch.from_numpy(pose)[None])[0].numpy()
    c2w[:3, 3] /= scale
    picture = build.picture(path)
    size = (picture.width, picture.height)
    camera = build.camera(build.pose(c2w, where), (k[0], k[4], k[2], k[5]), size, where)
    return View(f"{RENDER}/{light.name}/{path.name}", picture, camera, mask=_mask(item, number, picture))


def _mask(item: Path, number: int, picture: Picture) -> Picture:
    for suffix in ("jpg", "jpeg", "png"):
        path = item / SEGMENTATION / f"segmentation_{number}.{suffix}"
        if path.is_file():
            found = build.picture(path)
            build.check_aspect((found.width, found.height), picture, path.name)
            return SharpMask(found.path, found.width, found.height)
    raise UserError(
        f"view {number} of {quote(item.name)} has no mask",
        got=f"no {SEGMENTATION}/segmentation_{number}.jpg",
        accepted="one for each picture",
        do="Copy it again.",
    )


def _numbers(fields: Fields, key: str, count: int) -> np.ndarray:
    values = np.array(fields.items(key), dtype=object).reshape(-1)
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise _not_numbers(fields, key, count, "something that is no number") from error
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise _not_numbers(fields, key, count, f"{len(numbers)} values")
    return numbers


def _not_numbers(fields: Fields, key: str, count: int, got: str) -> UserError:
    return UserError(
        f"{fields.where}: '{key}' is not usable", got=got, accepted=f"{count} finite numbers", do="Copy it again."
    )


def _scale(item: Path) -> tuple[float, str]:
    """Length of the model's extents, and a note on where it is from; 1 where no table says."""
    table = item.parent / EXTENTS
    if table.is_file():
        for row in _rows(table, packed=True):
            if row and row[0] == item.name:
                try:
                    length = float(np.linalg.norm([float(v) for v in row[-_AXES:]]))
                except ValueError:
                    length = 0.0
                if np.isfinite(length) and length > 0:
                    return length, f"distances are in the model's size, {length:.3g} units by {EXTENTS}"
    return 1.0, f"no {EXTENTS} says how large the model is: distances are the files' own"


def _of_split(table: Path, split: str) -> set[str]:
    """Items of one split; the table's first line names its columns."""
    if not table.is_file():
        raise UserError(
            "the data set states no split",
            got=f"no {table.name}",
            accepted=f"{SPLITS} beside the items",
            do="Copy it, or take all items.",
        )
    found = {row[0] for row in _rows(table) if len(row) > 1 and row[1].strip().lower() == split}
    if not found:
        raise UserError(
            f"{table.name} has no such split", got=quote(split), accepted="train, val or test", do="Change it."
        )
    return found


def _rows(table: Path, *, packed: bool = False) -> Iterator[list[str]]:
    """Rows of a table after its first, which names columns."""
    try:
        with table.open("rb") as plain, gzip.GzipFile(fileobj=plain) if packed else plain as file:
            text = io.TextIOWrapper(file, encoding="utf-8", errors="replace")
            for number, row in enumerate(csv.reader(text)):
                if number > _MOST_ROWS:
                    return
                if number:
                    yield row
    except (EOFError, csv.Error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{table.name} cannot be read", got=str(error), accepted="a whole table", do="Copy it again."
        ) from error
    except OSError as error:
        raise from_os_error(error, table) from error
