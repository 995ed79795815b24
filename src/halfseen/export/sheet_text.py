"""The words of a capture report: used by the contact sheet and by `halfseen data check`."""

from __future__ import annotations

from halfseen.data.capture import Capture
from halfseen.data.check import Report

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body{{font:15px/1.45 system-ui,sans-serif;background:#faf9f6;color:#1e1e22;max-width:1300px;margin:2em auto;padding:0 1em}}
figure{{display:inline-block;margin:0 8px 12px 0}}figcaption{{font-size:12px;max-width:200px;overflow-wrap:anywhere}}
img{{max-width:100%}}.warn{{color:#c45422;font-weight:600}}li{{margin:.15em 0}}
</style></head><body><h1>{title}</h1><ul>{items}</ul><div>{plans}</div><div>{figures}</div></body></html>
"""


def title(capture: Capture) -> str:
    """One line that names the capture."""
    name = capture.folder.resolve().name or "capture"
    return f"{name}: {len(capture)} views, format {capture.layout}"


def lines(report: Report) -> list[tuple[str, bool]]:
    """Sentences, each with whether it is a warning."""
    sizes = ", ".join(f"{w}x{h}" + (f" ({n})" if len(report.sizes) > 1 else "") for w, h, n in report.sizes[:6])
    extras = [
        f"{n} {word}"
        for n, word in (
            (report.masks, "masks"),
            (report.depths, "depth maps"),
            (report.points, "sparse points"),
            (report.lens, "views with lens distortion (undone on load)"),
        )
        if n
    ]
    out = [f"pictures: {sizes}" + (f"; with {', '.join(extras)}" if extras else "")]
    if report.geometry is not None:
        out += _geometry_lines(report)
    if report.splits:
        out.append("splits: " + "; ".join(report.splits[:6]))
    notes = [(f"note: {n}", False) for n in report.notes]
    warnings = [(f"warning: {w}", True) for w in report.warnings]
    return [(t, False) for t in out] + notes + warnings


def _geometry_lines(report: Report) -> list[str]:
    g = report.geometry
    assert g is not None
    unit = "m" if report.units == "metres" else "units"
    return [
        f"field of view {g.fov[0]:.1f} x {g.fov[1]:.1f} degrees; up axis {g.up_name}",
        f"cameras look at ({', '.join(f'{v:.3g}' for v in g.focus)}), {g.distance:.3g} {unit} away ({g.focus_source})",
        f"baseline angles: {g.spread:.1f} degrees at most between two views, {g.neighbour:.1f} to the neighbour (median)",
        f"bounds: box from ({', '.join(f'{v:.3g}' for v in g.box_min)}) to ({', '.join(f'{v:.3g}' for v in g.box_max)}), depth {g.depth[0]:.3g} to {g.depth[1]:.3g} {unit}",
        f"coverage: {100 * g.seen_twice:.0f} % of the scene's ball lies in two or more pictures, {100 * g.seen_once:.0f} % in one (nothing occluded)",
    ]
