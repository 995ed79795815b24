"""A run on one page that can be sent: photos, renderings, depth, what photos saw, curves, numbers, an orbit, settings, provenance."""

from __future__ import annotations

import base64
import html
import io as bytes_io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from halfseen.common.errors import UserError, quote
from halfseen.common.files import write_text
from halfseen.common.jsonfile import read_json
from halfseen.data import protocols
from halfseen.data.capture import Capture
from halfseen.export import frames as framing
from halfseen.export import provenance
from halfseen.export import report_page as page
from halfseen.export.frames import Frame
from halfseen.fields import seen
from halfseen.images import resize
from halfseen.images.io import to_bytes
from halfseen.runs import run as runs
from halfseen.runs.run import Run

# Photos that are shown, evenly spread; longer side of the pictures; JPEG quality; pictures a second of the orbit.
_PHOTOS, _SIDE, _QUALITY, _FPS = 6, 320, 88, 24.0
# What photos saw: value in a seen picture, words, colour.
SEEN = (
    (seen.TWO_VIEWS, "seen by several photos", "#4b8b3b"),
    (seen.ONE_VIEW, "seen by one photo", "#6fa8c9"),
    (seen.INVENTED, "invented", "#e08a3c"),
    (seen.NOTHING, "nothing there", "#d8d5cd"),
)
# How much of a picture shows through the colours of what photos saw.
_THROUGH = 0.45
# Colours of depth from near to far, and the shares of depths that are cut off at either end.
_DEPTH = ((0.99, 0.91, 0.55), (0.95, 0.55, 0.31), (0.70, 0.22, 0.42), (0.35, 0.13, 0.47), (0.09, 0.08, 0.25))
_CUT = (0.02, 0.98)
# Differences are shown this many times as bright.
_STRESS = 3.0


def write(run: Run, capture: Capture, shown: Iterator[Frame], orbit: Iterator[Frame], path: Path) -> None:
    """Write the page. `capture` are the run's inputs, `shown` their renderings in order, `orbit` frames around the scene."""
    if path.exists():
        raise UserError(
            "the report's file exists already",
            got=quote(str(path)),
            accepted="a new file name",
            do="Choose another with --out, or remove it first.",
        )
    if not run.finished:
        raise UserError(
            f"run {quote(str(run.path))} is not finished",
            got="no metrics.json",
            accepted="a finished run",
            do="Go on with it: 'halfseen reconstruct ... --resume'.",
        )
    metrics, request = read_json(run.path / runs.METRICS), run.config["request"]
    movie, tallied = _movie(run, orbit)
    total = int(tallied.sum())
    chosen = set(spread(len(capture)))
    rows = [_row(capture, i, frame) for i, frame in enumerate(shown) if i in chosen]
    split = run.config["split"]
    text = page.PAGE.format(
        origin=provenance.remark(provenance.of(run, framing.content_shares(tallied))),
        title=html.escape(run.path.resolve().name),
        subtitle=html.escape(f"{request['method']} {request['variant']}, {request['field']}; {split['name']}"),
        video=f'<video src="{movie}" autoplay loop muted playsinline controls></video>',
        video_note="Around the scene. The bar says what of these pictures photos saw, and what nobody did.",
        facts="".join(_facts(run, metrics)),
        shares=page.shares([(name, c, int(tallied[v]) / total) for v, name, c in SEEN]),
        held_out=_held_out(run, metrics),
        rows="".join(rows),
        chart=page.chart(_curves(run)),
        tables=_tables(metrics),
        settings=_settings(run),
        provenance=_provenance(run),
    )
    write_text(path, text)


def spread(count: int) -> list[int]:
    """Views that are shown."""
    return list(range(count)) if count <= _PHOTOS else list(protocols.spread(range(count), _PHOTOS))


def _row(capture: Capture, index: int, frame: Frame) -> str:
    view = capture.views[index]
    photo = view.image.read()[..., :3]
    assert frame.seen is not None
    pictures = (
        (photo, view.name), (frame.rgb, "rendered"), ((frame.rgb - photo).abs() * _STRESS, f"difference x {_STRESS:g}"),
        (depth_colours(frame.depth), "depth, near to far"),
        (frame.alpha[..., None].expand(-1, -1, 3), "opacity"), (seen_colours(frame), "what photos saw"),
    )  # fmt: skip
    return page.figures([(_uri(p), text) for p, text in pictures])


def depth_colours(depth: Tensor) -> Tensor:
    """Depths [H, W] (0: none) as colours [H, W, 3]."""
    known = depth > 0
    if not bool(known.any()):
        return torch.ones(*depth.shape, 3)
    low, high = depth[known].quantile(torch.tensor(_CUT)).tolist()
    share = ((depth - low) / max(high - low, 1e-9)).clamp(0, 1) * (len(_DEPTH) - 1)
    stops = torch.tensor(_DEPTH)
    before = share.floor().long().clamp(max=len(_DEPTH) - 2)
    rest = (share - before)[..., None]
    return torch.where(known[..., None], stops[before] * (1 - rest) + stops[before + 1] * rest, torch.tensor(1.0))


def seen_colours(frame: Frame) -> Tensor:
    """A picture tinted by what photos saw of it."""
    assert frame.seen is not None
    grey = frame.rgb.mean(-1, keepdim=True).expand(-1, -1, 3)
    tint = torch.zeros_like(frame.rgb)
    for value, _, colour in SEEN:
        tint[frame.seen == value] = torch.tensor([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    return _THROUGH * grey + (1 - _THROUGH) * tint


def _movie(run: Run, orbit: Iterator[Frame]) -> tuple[str, Tensor]:
    """The orbit as a data URI, and the tally of what of it photos saw [256]."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orbit.mp4"
        tallied = framing.write_video(orbit, path, run, _FPS)
        return f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}", tallied


def _facts(run: Run, metrics: dict[str, Any]) -> list[str]:
    sizes = ", ".join(f"{w} x {h}" for w, h in metrics["work_sizes"])
    out = []
    if "psnr_held_out" in metrics:
        out.append(
            page.fact(f"{metrics['psnr_held_out']:.2f} dB", f"PSNR on {metrics['held_out']['count']} photos held out")
        )
    out.append(page.fact(f"{metrics['psnr_inputs']:.2f} dB", f"PSNR on {metrics['inputs']['count']} of its own photos"))
    out.append(page.fact(str(metrics["views"]), f"photos, fitted at {sizes}"))
    out.append(page.fact(f"{metrics['seconds']:.0f} s", f"fitting; {metrics['peak_memory_mib']:.0f} MiB at most"))
    return out


def _held_out(run: Run, metrics: dict[str, Any]) -> str:
    sheet = run.path / runs.PREVIEWS / "held-out.png"
    if "held_out" not in metrics or not sheet.is_file():
        return ""
    uri = "data:image/png;base64," + base64.b64encode(sheet.read_bytes()).decode()
    return f'<h2>Photos that it never saw</h2><img src="{uri}" alt="photos above, renderings below"><p class="note">photos above, renderings below</p>'


def _curves(run: Run) -> dict[str, list[tuple[int, float]]]:
    """Losses by name from the events."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for event in run.events():
        if event.get("event") == "step" and isinstance(event.get("losses"), dict):
            for name, value in event["losses"].items():
                curves.setdefault(str(name), []).append((int(event["step"]), float(value)))
    return curves


def _facts_of_prior(run: Run) -> dict[str, float]:
    """The last numbers that the method gave beside its losses."""
    told = [e["facts"] for e in run.events() if e.get("event") == "step" and isinstance(e.get("facts"), dict)]
    return dict(told[-1]) if told else {}


def _tables(metrics: dict[str, Any]) -> str:
    out = []
    for key in ("held_out", "inputs"):
        if key in metrics:
            found = metrics[key]
            rows = [{"photo": n, **v} for n, v in found["views"].items()] + [{"photo": "mean", **found["mean"]}]
            stated = html.escape(
                f"{found['protocol']['name']} views ({found['protocol']['split']}), mask: {found['protocol']['mask']}"
            )
            out.append(f'<p class="note">{stated}</p>{page.table(rows)}')
    return "".join(out)


def _settings(run: Run) -> str:
    request = {k: v for k, v in run.config["request"].items() if k != "view_ids"}
    rows = [{"setting": k, "value": json.dumps(v)} for k, v in request.items()]
    rest = html.escape(json.dumps(run.config["method"], indent=1))
    return f"{page.table(rows)}<details><summary>all settings of the method</summary><pre>{rest}</pre></details>"


def _provenance(run: Run) -> str:
    known = read_json(run.path / runs.PROVENANCE)
    rows = [{"photo": i.get("name"), "sha256": i.get("sha256", "")} for i in known.get("inputs", [])]
    program = html.escape(
        f"halfseen {known.get('halfseen')}, torch {known.get('torch')}, Python {known.get('python')}, {known.get('invented')}"
    )
    notes = "".join(f"<p>{html.escape(str(note))}</p>" for note in run.config["assumed"])
    facts = [{"fact": k.replace("_", " "), "value": v} for k, v in _facts_of_prior(run).items()]
    prior = f"<p>What the prior did:</p>{page.table(facts)}" if facts else ""
    return f"<p>{program}</p>{notes}{prior}<details><summary>{len(rows)} photos and their hashes</summary>{page.table(rows)}</details>"


def _uri(pixels: Tensor) -> str:
    height, width = pixels.shape[:2]
    size = resize.fit(width, height, _SIDE)
    small = resize.resize(pixels.clamp(0, 1), *size)
    buffer = bytes_io.BytesIO()
    Image.fromarray(to_bytes(small)).save(buffer, format="JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
