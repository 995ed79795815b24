"""A capture on one page: every photo with its id, the cameras from above, the front and the side, numbers and warnings."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from halfseen.cameras.rotations import rotation_between
from halfseen.common.errors import UserError, quote
from halfseen.common.files import write_bytes, write_text
from halfseen.data.capture import Capture
from halfseen.data.check import Report
from halfseen.data.load import load_view, with_frames
from halfseen.export import sheet_text
from halfseen.images import color
from halfseen.images.io import to_bytes

_THUMB, _COLUMNS, _PLAN, _GAP, _LINE = 200, 6, 400, 10, 19
# More photos than this are thinned out evenly: a sheet is to be looked at.
_MAX_THUMBS = 48
_MAX_POINTS = 3000
_INK, _PAPER, _SOFT, _ACCENT, _MASK = (30, 30, 34), (250, 249, 246), (170, 168, 162), (196, 84, 34), (60, 130, 200)
_TITLE, _TEXT, _CAPTION, _SMALL = 18, 13, 12, 11
# What a mask leaves out keeps this share of its own brightness under the tint.
_DIMMED = 0.35
# Share of a plan that the cameras fill, and the largest length of a frustum as drawn, relative to the distance of the scene.
_FILL, _FRUSTUM = 0.86, 0.22
# The same, relative to how far apart cameras stand.
_OF_SPREAD = 0.4
_PLANS = (("from above", 0, 1), ("from the front", 0, 2), ("from the side", 1, 2))


def write(capture: Capture, report: Report, path: Path) -> None:
    """Write the sheet as .png or .html, to a file that is not there yet."""
    if path.exists():
        got, do = quote(str(path)), "Choose another name, or remove it first."
        raise UserError("the sheet's file exists already", got=got, accepted="a new file name", do=do)
    capture = with_frames(capture)
    if path.suffix == ".png":
        write_bytes(path, _png(_picture(capture, report)))
    elif path.suffix in (".html", ".htm"):
        write_text(path, _page(capture, report))
    else:
        raise UserError(
            "the sheet's file type is not known", got=quote(path.name), accepted=".png or .html", do="Change the name."
        )


def _picture(capture: Capture, report: Report) -> Image.Image:
    """The whole sheet as one picture."""
    ids = _chosen(len(capture))
    rows = -(-len(ids) // _COLUMNS)
    lines = sheet_text.lines(report) + _left_out(len(capture))
    width = _COLUMNS * (_THUMB + _GAP) + _GAP
    top = _GAP + _LINE * (len(lines) + 2)
    plan_height = (_PLAN + 2 * _GAP + _LINE) if report.geometry else 0
    sheet = Image.new("RGB", (width, top + plan_height + rows * (_THUMB + _LINE + _GAP) + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), sheet_text.title(capture), _INK, _font(_TITLE))
    for i, (text, warning) in enumerate(lines):
        draw.text((_GAP, _GAP + _LINE * (i + 1.6)), text, _ACCENT if warning else _INK, _font(_TEXT))
    if report.geometry:
        for i, plan in enumerate(_plans(capture, report)):
            sheet.paste(plan, (_GAP + i * (_PLAN + _GAP), top))
    for slot, i in enumerate(ids):
        x, y = _GAP + slot % _COLUMNS * (_THUMB + _GAP), top + plan_height + slot // _COLUMNS * (_THUMB + _LINE + _GAP)
        sheet.paste(_thumb(capture, i), (x, y))
        draw.text((x, y + _THUMB + 1), f"{i}  {_short(capture.views[i].name)}", _INK, _font(_CAPTION))
    return sheet


def _page(capture: Capture, report: Report) -> str:
    """The sheet as one self-contained HTML page."""
    figures = "".join(
        f'<figure><img src="{_data_uri(_thumb(capture, i))}" alt=""><figcaption>{i} &nbsp; {html.escape(capture.views[i].name)}</figcaption></figure>'
        for i in _chosen(len(capture))
    )
    plans = "".join(f'<img src="{_data_uri(p)}" alt="">' for p in (_plans(capture, report) if report.geometry else []))
    items = "".join(
        f'<li class="{"warn" if w else ""}">{html.escape(t)}</li>'
        for t, w in sheet_text.lines(report) + _left_out(len(capture))
    )
    return sheet_text.PAGE.format(
        title=html.escape(sheet_text.title(capture)), items=items, plans=plans, figures=figures
    )


def _chosen(count: int) -> list[int]:
    if count <= _MAX_THUMBS:
        return list(range(count))
    return [round(i * (count - 1) / (_MAX_THUMBS - 1)) for i in range(_MAX_THUMBS)]


def _left_out(count: int) -> list[tuple[str, bool]]:
    shown = len(_chosen(count))
    return [(f"{shown} of {count} photos are shown, spread evenly", False)] if shown < count else []


def _thumb(capture: Capture, index: int) -> Image.Image:
    """The undistorted photo on a square; what its mask leaves out is tinted."""
    view, _ = load_view(capture.views[index], _THUMB, capture.background or color.WHITE)
    rgb, alpha = view.image.read(), None if view.mask is None else view.mask.read_grey()
    if alpha is not None:
        tint = rgb.new_tensor(_MASK) / 255
        rgb = rgb * (_DIMMED + (1 - _DIMMED) * alpha[..., None]) + tint * (1 - _DIMMED) * (1 - alpha[..., None])
    square = Image.new("RGB", (_THUMB, _THUMB), _PAPER)
    picture = Image.fromarray(to_bytes(rgb))
    square.paste(picture, ((_THUMB - picture.width) // 2, (_THUMB - picture.height) // 2))
    return square


def _plans(capture: Capture, report: Report) -> list[Image.Image]:
    """Three parallel projections with the up direction upwards: frustums, sparse points, the box."""
    geometry = report.geometry
    assert geometry is not None
    cameras = capture.cameras()
    focus = torch.tensor(geometry.focus, dtype=torch.float64)
    turn = rotation_between(
        torch.tensor(geometry.up, dtype=torch.float64), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    )
    # Cameras close together are drawn small, and near: one must see how they stand to each other.
    spread = float((cameras.centres.amax(0) - cameras.centres.amin(0)).max())
    length = min(_FRUSTUM * geometry.distance, _OF_SPREAD * spread or geometry.distance)
    corners = (_frustums(capture, length) - focus) @ turn.T  # [V, 5, 3]
    half = (geometry.box_max[0] - geometry.box_min[0]) / 2
    low, high = corners.amin((0, 1)), corners.amax((0, 1))
    middle, reach = (low + high) / 2, float((high - low).max()) / (_FILL * _PLAN)
    points = torch.zeros(0, 3, dtype=torch.float64)
    if capture.points is not None:
        step = max(1, len(capture.points.xyz) // _MAX_POINTS)
        points = (torch.from_numpy(capture.points.xyz[::step]) - focus) @ turn.T
    return [
        _plan(
            name,
            (corners - middle)[..., (a, b)] / reach,
            (points - middle)[:, (a, b)] / reach,
            torch.stack([-half - middle, half - middle])[:, (a, b)] / reach,
            len(cameras),
        )
        for name, a, b in _PLANS
    ]


def _frustums(capture: Capture, length: float) -> Tensor:
    """Camera centre and the four picture corners at distance `length` [V, 5, 3], in the user's frame."""
    cameras = capture.cameras()
    fx, fy, cx, cy = (v[:, None] for v in cameras.intrinsics.unbind(-1))
    w, h = (v[:, None].to(fx) for v in cameras.sizes.unbind(-1))
    zero = torch.zeros_like(w)
    x = (torch.cat([zero, w, w, zero], 1) - cx) / fx
    y = (torch.cat([zero, zero, h, h], 1) - cy) / fy
    local = torch.stack([x, y, torch.ones_like(x)], -1) * length
    world = local @ cameras.c2w[:, :3, :3].transpose(1, 2) + cameras.centres[:, None]
    return torch.cat([cameras.centres[:, None], world], 1)


def _plan(name: str, corners: Tensor, points: Tensor, box: Tensor, count: int) -> Image.Image:
    """Frustums [V, 5, 2], points [N, 2] and the box's two corners [2, 2] in pixels from the middle."""
    plan = Image.new("RGB", (_PLAN, _PLAN + _LINE), _PAPER)
    draw = ImageDraw.Draw(plan)
    middle = _PLAN / 2

    def at(p: Tensor) -> tuple[float, float]:
        return middle + float(p[0]), middle - float(p[1])

    draw.rectangle((0, 0, _PLAN - 1, _PLAN - 1), outline=_SOFT)
    (left, bottom), (right, top) = (at(c) for c in box)
    draw.rectangle((left, top, right, bottom), outline=_SOFT)
    for point in points:
        x, y = at(point)
        if 0 < x < _PLAN and 0 < y < _PLAN:
            draw.point((x, y), fill=_MASK)
    for i in range(count):
        centre, *ring = (at(c) for c in corners[i])
        draw.polygon(ring, outline=_SOFT)
        for corner in ring:
            draw.line((centre, corner), fill=_SOFT)
        draw.line((ring[0], ring[1]), fill=_ACCENT, width=2)  # the top edge of the picture
    named: list[tuple[float, float]] = []
    for i in range(count):
        x, y = at(corners[i][0])
        # A number on another one is no number.
        if all(abs(x - u) > _SMALL or abs(y - v) > _SMALL for u, v in named):
            draw.text((x + 3, y - 6), str(i), _INK, _font(_SMALL))
            named.append((x, y))
    # What was drawn over the rim goes, so that the line below can be read.
    draw.rectangle((0, _PLAN, _PLAN, _PLAN + _LINE), fill=_PAPER)
    draw.rectangle((0, 0, _PLAN - 1, _PLAN - 1), outline=_SOFT)
    draw.text(
        (4, _PLAN + 1), f"{name}; the square is the box, a bold edge is the top of a picture", _INK, _font(_SMALL)
    )
    return plan


def _short(name: str) -> str:
    tail = name.rsplit("/", 1)[-1]
    return tail if len(tail) < 24 else "..." + tail[-20:]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _data_uri(image: Image.Image) -> str:
    return "data:image/png;base64," + base64.b64encode(_png(image)).decode()
