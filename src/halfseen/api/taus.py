"""The table that says at which noise level a one-step model repairs best (figure 4 of the paper)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import torch

from halfseen.common.errors import UserError, quote
from halfseen.methods.difix3d import pair_files
from halfseen.methods.difix3d.fixers import load_fixer
from halfseen.methods.difix3d.pairs import unpacked
from halfseen.metrics.image import psnr, ssim

# The noise levels of the paper's table, counted from one.
TAUS = (1000, 800, 600, 400, 200, 10)
_PART = "test"


def table(prior: str, pairs: Path, taus: Sequence[int] = TAUS, count: int = 16) -> Iterator[dict[str, float]]:
    """PSNR and SSIM of repaired held-out pairs at each tau (counted from one, as the paper does)."""
    from halfseen.priors.one_step.difix import DifixFixer
    from halfseen.priors.schedules import STEPS

    fixer = load_fixer(prior, torch.device("cpu"))
    if not isinstance(fixer, DifixFixer):
        raise UserError(
            f"{quote(prior)} has no noise level to choose",
            got="a small fixer",
            accepted="weights of Difix's graph",
            do="Name a folder of such weights.",
        )
    if not taus or not all(1 <= tau <= STEPS for tau in taus):
        raise UserError("no such noise level", got=quote(taus), accepted=f"1 to {STEPS}", do="Change --taus.")
    listed = pair_files.listed(pairs, _PART)[:count]
    if not listed:
        raise UserError(
            "there is nothing to measure on",
            got="no held-out pairs",
            accepted="a list with some",
            do="Make more pairs.",
        )
    for tau in taus:
        at = DifixFixer(fixer.network, fixer.work, tau - 1)
        found = []
        for item in listed:
            pair = pair_files.read(item)
            out = at(unpacked(pair.shown), [p / 255 for p in pair.references]).rgb.movedim(0, -1)
            truth = pair.target.movedim(0, -1) / 255
            found.append((psnr(out, truth), ssim(out, truth)))
        yield {"tau": tau, "psnr": fmean(p for p, _ in found), "ssim": fmean(s for _, s in found), "pairs": len(found)}
