"""The look of a report: one HTML page without scripts or outside files. Everything that comes from files is escaped by the caller."""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

# Size of the chart, its margins (left, right, top, bottom) in pixels, colours of its lines, and ticks along an axis.
_CHART, _MARGIN, _LINES, _TICKS = (
    (640, 240),
    (52, 12, 12, 30),
    ("#c4541f", "#2f6f9f", "#4b8b3b", "#8a5aa8", "#8c7a3d"),
    4,
)
# Losses below this share of the largest are drawn at it: the axis is logarithmic, and what is nothing must not take it all.
_FLOOR = 1e-4

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
{origin}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'">
<title>{title}</title><style>
:root {{ --ink: #1e1e22; --soft: #6d6a64; --line: #dedbd3; --paper: #faf9f6; --card: #fff; --accent: #c4541f; }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }}
main {{ max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }}
h1 {{ font-size: 28px; margin: 0 0 2px; }} h2 {{ font-size: 18px; margin: 40px 0 10px; }}
.sub, figcaption, .note {{ color: var(--soft); font-size: 13px; }}
.hero {{ display: grid; grid-template-columns: minmax(0, 3fr) minmax(260px, 2fr); gap: 24px; margin-top: 20px; align-items: start; }}
.hero video {{ width: 100%; border-radius: 10px; background: #000; display: block; }}
.facts {{ display: grid; grid-template-columns: 1fr 1fr; gap: 10px; }}
.fact {{ background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 10px 12px; }}
.fact b {{ display: block; font-size: 22px; font-weight: 650; }}
.bar {{ display: flex; height: 16px; border-radius: 8px; overflow: hidden; margin: 18px 0 6px; border: 1px solid var(--line); }}
.named {{ white-space: nowrap; }} .key {{ display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin: 0 5px 0 12px; vertical-align: -1px; }}
.row {{ display: grid; grid-template-columns: repeat(6, 1fr); gap: 8px; margin-bottom: 12px; }}
figure {{ margin: 0; }} img {{ width: 100%; border-radius: 6px; display: block; outline: 1px solid var(--line); }}
table {{ border-collapse: collapse; width: 100%; background: var(--card); border: 1px solid var(--line); font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; padding: 5px 10px; border-bottom: 1px solid var(--line); font-size: 13px; overflow-wrap: anywhere; }}
td.n, th.n {{ text-align: right; }}
details {{ margin: 8px 0; }} summary {{ cursor: pointer; }} pre {{ white-space: pre-wrap; font-size: 12px; background: var(--card); border: 1px solid var(--line); padding: 10px; }}
.wide {{ overflow-x: auto; }}
@media (max-width: 760px) {{ .hero {{ grid-template-columns: 1fr; }} .row {{ grid-template-columns: repeat(2, 1fr); }} }}
</style></head><body><main>
<h1>{title}</h1><div class="sub">{subtitle}</div>
<div class="hero"><div>{video}<p class="note">{video_note}</p></div><div><div class="facts">{facts}</div>{shares}</div></div>
{held_out}
<h2>Photos and what was rebuilt</h2>{rows}
<h2>How the fit went</h2>{chart}
<h2>Numbers</h2>{tables}
<h2>Settings</h2>{settings}
<h2>Where this came from</h2>{provenance}
</main></body></html>
"""


def fact(number: str, label: str) -> str:
    """One headline number."""
    return f'<div class="fact"><b>{html.escape(number)}</b><span class="note">{html.escape(label)}</span></div>'


def shares(parts: Sequence[tuple[str, str, float]]) -> str:
    """A bar of (name, colour, share) and its key."""
    bar = "".join(f'<div style="width:{100 * s:.2f}%;background:{c}"></div>' for _, c, s in parts)
    key = "".join(
        f'<span class="named"><span class="key" style="background:{c}"></span>{html.escape(n)} {100 * s:.0f} %</span> '
        for n, c, s in parts
    )
    return f'<div class="bar">{bar}</div><div class="note">{key}</div>'


def figures(pictures: Sequence[tuple[str, str]]) -> str:
    """A row of (data URI, caption)."""
    cells = "".join(
        f'<figure><img src="{uri}" alt="{html.escape(text)}" loading="lazy"><figcaption>{html.escape(text)}</figcaption></figure>'
        for uri, text in pictures
    )
    return f'<div class="row">{cells}</div>'


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Records as a table; numbers to the right."""
    columns = list(dict.fromkeys(k for r in rows for k in r))
    head = "".join(f"<th{_numeric(rows, c)}>{html.escape(c)}</th>" for c in columns)
    body = "".join(
        "<tr>" + "".join(f"<td{_numeric(rows, c)}>{html.escape(_text(r.get(c)))}</td>" for c in columns) + "</tr>"
        for r in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _numeric(rows: Sequence[Mapping[str, Any]], column: str) -> str:
    return ' class="n"' if any(isinstance(r.get(column), float) for r in rows) else ""


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def chart(curves: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Losses against steps as lines on a logarithmic scale."""
    points = [p for c in curves.values() for p in c]
    if len(points) < 2:
        return '<p class="note">too few steps for a curve</p>'
    last = max(x for x, _ in points)
    floor = _FLOOR * max(*(y for _, y in points), sys.float_info.min)
    values = [max(y, floor) for _, y in points]
    low, high = math.log10(min(values)), math.log10(max(values)) + 1e-9
    width, height = _CHART
    left, right, top, bottom = _MARGIN

    def at(step: int, value: float) -> str:
        x = left + (width - left - right) * step / last
        y = top + (height - top - bottom) * (high - math.log10(max(value, floor))) / (high - low)
        return f"{x:.1f},{y:.1f}"

    out, key = [], []
    for k in range(_TICKS + 1):
        level = low + (high - low) * k / _TICKS
        y = float(at(0, 10**level).split(",")[1])
        out.append(f'<line x1="{left}" x2="{width - right}" y1="{y}" y2="{y}" stroke="#dedbd3"/>')
        out.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{10**level:.2g}</text>')
    for i, (name, curve) in enumerate(curves.items()):
        colour = _LINES[i % len(_LINES)]
        path = " ".join(at(x, y) for x, y in curve)
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{path}"/>')
        key.append(f'<span class="key" style="background:{colour}"></span>{html.escape(name)}')
    out.append(f'<text x="{width - right}" y="{height - 8}" text-anchor="end">step {last}</text>')
    style = 'font-size="11" fill="#6d6a64" font-family="system-ui, sans-serif"'
    return f'<svg viewBox="0 0 {width} {height}" width="100%" style="max-width:860px" {style}>{"".join(out)}</svg><div class="note">{"".join(key)}</div>'
