"""Tables and aims as pure functions of cells."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np

from halfseen.bench.aims import AIMS
from halfseen.common.rng import derive_seed
from halfseen.metrics.distribution import normalised_swd

# Resamples and coverage of the paired bootstrap.
_RESAMPLES, _COVERAGE = 4000, 0.95
_SHOWN = (
    "psnr", "psnr_masked", "ssim", "flip", "swd_normalised", "swd_of_base", "depth_abs_rel", "reprojection_colour_error",
    "flip_of_base", "residual", "residual_anew", "fid", "kid", "strength", "accepted", "prior_calls", "prior_seconds",
    "fit_seconds",
)  # fmt: skip
# What is better when it is smaller.
_LOWER = (
    "flip",
    "flip_of_base",
    "residual_of_apart",
    "depth_of_base",
    "depth_abs_rel",
    "swd",
    "swd_normalised",
    "swd_of_base",
    "reprojection_colour_error",
)
# What rows are read beside each other for.
_GAINS = ("psnr", "flip", "depth_abs_rel", "prior_seconds")
# The row at which the normalised SWD is 1, and what cheap tricks make of its renderings: row of the table, suffix of its numbers.
BASE = "plain basic"
CONTROLS = {"tuned unsharp mask": "unsharp", "matched noise": "noise"}
# Rows whose pictures get these tricks too, to be read beside what is built on them.
_TRICKED = ("base, hashgrid", "base, gaussians", "feedforward")
# The row whose views are sampled apart, beside which agreement is measured.
_APART = "sample-then-fit"


def normalised(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells, each with its SWD as a share of the base row's of the same scene, views and seed, floor taken off both; and of that
    of the row that it is to be read beside.

    Where the base row is not farther from the photos than they are from each other, there is no such number.
    """
    base = {_place(c): c["metrics"]["swd"] for c in cells if c["row"] == BASE and "swd" in c["metrics"]}
    own_depth = {
        (c["row"], *_place(c)): c["metrics"]["depth_abs_rel"] for c in cells if "depth_abs_rel" in c["metrics"]
    }
    own_flip = {(c["row"], *_place(c)): c["metrics"]["flip"] for c in cells if "flip" in c["metrics"]}
    apart = {_place(c): c["metrics"]["residual"] for c in cells if c["row"] == _APART and "residual" in c["metrics"]}
    own_base = {(c["row"], *_place(c)): c["metrics"]["swd"] for c in cells if "swd" in c["metrics"]}
    out = []
    for c in cells:
        found, one = c["metrics"], base.get(_place(c))
        if one is not None and "swd" in found and one > found["swd_floor"]:
            found = found | {"swd_normalised": normalised_swd(found["swd"], found["swd_floor"], one)}
        own = own_base.get((c.get("way", {}).get("base", ""), *_place(c)))
        if own is not None and "swd" in found and own > found["swd_floor"]:
            found = found | {"swd_of_base": normalised_swd(found["swd"], found["swd_floor"], own)}
        depth = own_depth.get((c.get("way", {}).get("base", ""), *_place(c)))
        if depth and "depth_abs_rel" in found:
            found = found | {"depth_of_base": found["depth_abs_rel"] / depth}
        flip = own_flip.get((c.get("way", {}).get("base", ""), *_place(c)))
        if flip and "flip" in found:
            found = found | {"flip_of_base": found["flip"] / flip}
        if "residual" in found and apart.get(_place(c)):
            found = found | {"residual_of_apart": found["residual"] / apart[_place(c)]}
        if "psnr" in found and c["scene"].startswith("object-"):
            found = found | {f"psnr of {c['scene'].split('-')[1]}": found["psnr"]}
        if "psnr" in found:
            found = found | {f"psnr of {'objects' if 'psnr_masked' in found else 'scenes'}": found["psnr"]}
        out.append({**c, "metrics": found})
    return out


def controls(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cells of the control rows: base rows' own pictures, sharpened and with noise. A gain in SWD must beat theirs."""
    out = []
    for c in cells:
        found = c["metrics"]
        if c["row"] not in (BASE, *_TRICKED) or not {f"swd_{s}" for s in CONTROLS.values()} <= set(found):
            continue
        # Tricks are scored where the photo is valid.
        score = "psnr_valid" if "psnr_valid" in found else "psnr"
        for row, suffix in CONTROLS.items():
            numbers = {score: found[f"psnr_{suffix}"], "swd": found[f"swd_{suffix}"], "swd_floor": found["swd_floor"]}
            name = row if c["row"] == BASE else f"{row} of {c['row']}"
            out.append({**c, "row": name, "metrics": numbers, "seconds": 0.0})
    return out


def _place(cell: dict[str, Any]) -> tuple[Any, ...]:
    return cell["scene"], cell["views"], cell["seed"]


def rows(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One flat record for each cell."""
    return [
        {k: c[k] for k in ("claim", "row", "scene", "views", "seed")}
        | {k: round(v, 4) for k, v in c["metrics"].items()}
        | {k: c[k] for k in ("fit_seconds", "seconds", "commit") if k in c}
        for c in normalised(cells)
    ]


def control_rows(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One flat record for each control."""
    tricks = controls(cells)
    return rows([*cells, *tricks])[len(cells) :]


def aims(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the project set itself, and what came of it."""
    out = []
    known = normalised([*cells, *controls(cells)])
    asked = [(*aim, views) for views, some in AIMS.items() for aim in some]
    for words, row, base, key, target, views in asked:
        value, low, high, count = paired(known, row, base, key, views)
        if count == 0:
            continue
        interval = [round(low, 3), round(high, 3)]
        met = value <= target if key in _LOWER else value >= target
        out.append(
            {"aim": words, "value": round(value, 3), "interval": interval, "n": count, "target": target, "met": met}
        )
    return out


def beside(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What each row that is to be read beside another gains over it, on the scenes that both have."""
    out = []
    pairs = {(c["row"], c["way"]["base"], c["views"]) for c in cells if c.get("way", {}).get("base")}
    for row, base, views in sorted(pairs):
        for key in _GAINS:
            value, low, high, count = paired(cells, row, base, key, views)
            if count:
                interval = [round(low, 4), round(high, 4)]
                out.append({"row": row, "beside": base, "views": views, "number": key, "value": round(value, 4), "interval": interval, "n": count})  # fmt: skip
    return out


def paired(
    cells: Sequence[dict[str, Any]], row: str, base: str, key: str, views: int
) -> tuple[float, float, float, int]:
    """(mean difference of two rows over the same scenes, or of one row without a base its mean, lower and upper end of its interval, number of scenes).

    Seeds of one scene are no new scenes: they are averaged before scenes are drawn again.
    """
    named = {
        (c["row"], c["scene"], c["seed"]): c["metrics"][key]
        for c in cells
        if c["views"] == views and key in c["metrics"]
    }
    by_scene: dict[str, list[float]] = {}
    for (r, scene, seed), value in named.items():
        if r == row and (not base or (base, scene, seed) in named):
            by_scene.setdefault(scene, []).append(value - (named[base, scene, seed] if base else 0.0))
    if not by_scene:
        return 0.0, 0.0, 0.0, 0
    difference = np.array([fmean(v) for v in by_scene.values()])
    rng = np.random.Generator(np.random.PCG64(derive_seed(0, f"bootstrap/{row}/{base}/{key}")))
    means = difference[rng.integers(len(difference), size=(_RESAMPLES, len(difference)))].mean(1)
    low, high = np.quantile(means, [(1 - _COVERAGE) / 2, (1 + _COVERAGE) / 2])
    return float(difference.mean()), float(low), float(high), len(difference)


def markdown(
    table: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]], gains: Sequence[dict[str, Any]] = ()
) -> str:
    """The table, its means, the aims, and what rows gain over others."""
    columns = [c for c in _SHOWN if any(c in r for r in table)]
    lines = ["| row | views | scene | " + " | ".join(columns) + " | seconds |", "|---" * (4 + len(columns)) + "|"]
    for r in sorted(table, key=lambda r: (r["views"], r["scene"], r["row"], r["seed"])):
        numbers = " | ".join(f"{r[c]:.4g}" if c in r else "" for c in columns)
        lines.append(f"| {r['row']} | {r['views']} | {r['scene']} | {numbers} | {r['seconds']:.0f} |")
    for row, views in sorted({(r["row"], r["views"]) for r in table}):
        chosen = [r for r in table if r["row"] == row and r["views"] == views]
        means = [_mean([r[c] for r in chosen if c in r]) for c in columns]
        lines.append(f"| **{row}** | {views} | mean of {len(chosen)} | {' | '.join(means)} | |")
    commits = sorted({str(r["commit"])[:7] for r in table})
    lines.append(f"\nComputed at commit {', '.join(commits)}, seeds {sorted({r['seed'] for r in table})}.")
    for aim in found:
        low, high = aim["interval"]
        met = "met" if aim["met"] else "not met"
        lines.append(f"\n{aim['aim']}: {aim['value']:.2f} [{low:.2f}, {high:.2f}], n = {aim['n']} scenes, aim {aim['target']:g}: {met}")  # fmt: skip
    for gain in gains:
        low, high = gain["interval"]
        lines.append(f"\n{gain['row']} beside {gain['beside']}, {gain['views']} views, {gain['number']}: {gain['value']:+.4g} [{low:.4g}, {high:.4g}], n = {gain['n']}")  # fmt: skip
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> str:
    return f"{fmean(values):.4g}" if values else ""
