"""`halfseen evaluate` and `halfseen compare`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

# Columns of tables for people, in this order, where they are there.
_SHOWN = (
    "psnr",
    "psnr_masked",
    "psnr_valid",
    "ssim",
    "ssim_composited",
    "flip",
    "lpips_alex",
    "lpips_vgg",
    "sharpness_ratio",
    "depth_abs_rel",
    "accuracy",
    "completeness",
    "chamfer",
    "seconds",
)
# Numbers of all views together, printed below: their names begin so.
_TOGETHER = ("swd", "psnr_unsharp", "psnr_noise", "fid", "kid", "depth_", "chamfer", "reprojection_")
_NAME, _COLUMN = 34, 12


@dataclass(frozen=True)
class Evaluate:
    """Measure a run: PSNR, SSIM, FLIP, sharpness; SWD beside its floor and controls; agreement of neighbouring renderings; depth and
    surface where their truth is there; masked where there are masks; under a named protocol."""

    path_of_run: tyro.conf.Positional[Path]
    """The run folder."""
    against: tuple[Path, ...] = ()
    """The capture that the run was made from; without it the run is measured on its own inputs."""
    protocol: str | None = None
    """held-out, inputs, all, dtu (DTU's targets at 400 x 300, for runs of its 3, 6 or 9 inputs), dtu-surface (chamfer of the mesh, with --truth),
    srn (an object's other 250 views, colours truncated to 8 bits) or srn-subset (11 of these);
    default: held-out with --against, else inputs."""
    truth: Path | None = None
    """For dtu-surface: the folder of DTU that holds Points/ and ObsMask/."""
    lpips: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NET=BACKBONE,HEADS")] = ()
    """Also LPIPS, with weights of yours: alex or vgg, the files of its backbone (torchvision) and heads (lpips 0.1)."""
    inception: Path | None = None
    """Also FID and KID, with Inception weights of yours."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> None:
        from halfseen import api

        run = api.open_run(self.path_of_run)
        capture = api.load(*self.against) if self.against else None
        if self.protocol == api.DTU_SURFACE:
            result = api.evaluate_surface(run, capture, self.truth)
        else:
            result = api.evaluate(run, capture, self.protocol, lpips=self.lpips, inception=self.inception)
        rows = [{"view": name, **numbers} for name, numbers in result["views"].items()]
        if self.json:
            print(
                _as_json(
                    {"protocol": result["protocol"], "mean": result["mean"], "absent": result["absent"], "rows": rows}
                )
            )
            return
        stated = result["protocol"]
        print(
            f"{stated['name']} views ({stated['split']}), {stated['size'] or 'several sizes'}, mask: {stated['mask']}"
        )
        table([{"": r["view"], **r} for r in rows] + [{"": "mean", **result["mean"]}])
        for name, value in result["mean"].items():
            if name.startswith(_TOGETHER) and name not in _SHOWN:
                print(f"{name:<{_NAME}}{value:>12.4g}")
        for sentence in result["absent"]:
            print(f"not measured: {sentence}")


@dataclass(frozen=True)
class Compare:
    """Lay finished runs beside each other; only what was measured on the same views is compared."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> None:
        from halfseen import api

        rows = api.compare(list(self.runs))
        if self.json:
            print(_as_json({"rows": rows}))
            return
        print(f"{rows[0]['measured']} {rows[0]['protocol']} views")
        table([{"": f"{r['run']} ({r['method']} {r['variant']}, {r['inputs']} inputs)", **r} for r in rows])


def table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows whose first column is named ''."""
    columns = [c for c in _SHOWN if any(c in r for r in rows)]
    width = max(_NAME, *(len(str(r[""])) for r in rows))
    wide = {c: max(_COLUMN, len(c) + 2) for c in columns}
    print(f"{'':<{width}}" + "".join(f"{c:>{wide[c]}}" for c in columns))
    for row in rows:
        print(
            f"{row['']!s:<{width}}" + "".join(f"{row[c]:>{wide[c]}.4g}" if c in row else " " * wide[c] for c in columns)
        )


def _as_json(value: object) -> str:
    return json.dumps(value, indent=1, allow_nan=False)
