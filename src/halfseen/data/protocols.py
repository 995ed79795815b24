"""Named protocols: which views are inputs and which are held out. Every number in this project names one."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from halfseen.cameras.cameras import Cameras
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.data.capture import Capture, Split

LLFF_HOLD = 8
# RegNeRF's DTU protocol, 0-based: inputs in order of use; exposures that are left out; all others of the 49 are targets.
DTU_INPUTS = (25, 22, 28, 40, 44, 48, 0, 8, 13)
DTU_EXCLUDED = (3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 36, 37, 38, 39)
DTU_VIEWS = 49
# ShapeNet-SRN's test spiral: its views, the customary inputs in order of use, and pixelNeRF's quick subset of targets.
SRN_VIEWS, SRN_INPUTS = 251, (64, 104)
SRN_SUBSET = (0, 24, 49, 74, 99, 124, 149, 174, 199, 224, 249)
# Views of a sequence of CO3D that SparseFusion was measured on.
CO3D_VIEWS = 32
# Splits that are asked for by name; rounds of k-means after which it has long settled.
CLUSTERS, WALKS = "clusters", "walks"
NAMED = (CLUSTERS, WALKS)
_KMEANS, _WALKS = 100, 2
# Numbers of inputs that the protocol is printed for.
DTU_COUNTS = (3, 6, 9)


def spread(items: Sequence[int], count: int) -> tuple[int, ...]:
    """`count` items evenly spaced over a list, both ends included; ranks are rounded half to even, as RegNeRF does."""
    if count == 1:
        return (items[len(items) // 2],)
    step = (len(items) - 1) / (count - 1)
    return tuple(items[round(i * step)] for i in range(count))


def llff(count: int, views: int) -> Split:
    """LLFF: every eighth view is held out; inputs are spread over the rest."""
    test = tuple(range(0, views, LLFF_HOLD))
    rest = [i for i in range(views) if i % LLFF_HOLD]
    _check(count, len(rest))
    return Split(f"llff-{count}", spread(rest, count), test)


def even(count: int, views: int) -> Split:
    """Even spacing over all views; everything else is held out."""
    _check(count, views)
    train = spread(range(views), count)
    return Split(f"even-{count}", train, tuple(i for i in range(views) if i not in train))


def dtu(count: int) -> Split:
    """DTU scans of 49 views."""
    _check(count, len(DTU_INPUTS))
    used = DTU_INPUTS + DTU_EXCLUDED
    return Split(f"dtu-{count}", DTU_INPUTS[:count], tuple(i for i in range(DTU_VIEWS) if i not in used))


def srn(count: int) -> Split:
    """An object of SRN's test set: everything but the inputs is held out."""
    _check(count, len(SRN_INPUTS))
    inputs = SRN_INPUTS[:count]
    return Split(f"srn-{count}", inputs, tuple(i for i in range(SRN_VIEWS) if i not in inputs))


def co3d(count: int, number: int) -> Split:
    """A sequence of 32 views: the first of them in an order that follows from the scene's number are the inputs, so that two photos are
    among three; everything else is held out."""
    _check(count, CO3D_VIEWS - 1)
    order = torch.randperm(CO3D_VIEWS, generator=generator(number, "protocols/co3d")).tolist()
    return Split(f"co3d-{count}", tuple(order[:count]), tuple(sorted(order[count:])))


def dtu_splits(numbers: Sequence[int]) -> tuple[Split, ...]:
    """The splits of a DTU scan whose view i is camera `numbers[i]` (0-based), as far as its inputs and any targets are there.

    Where some targets are absent the name says so: its numbers are not those of the whole protocol.
    """
    place = {number: i for i, number in enumerate(numbers)}
    splits = []
    for whole in map(dtu, DTU_COUNTS):
        test = tuple(place[n] for n in whole.test if n in place)
        if not test or not set(whole.train) <= set(place):
            continue
        partial = "" if len(test) == len(whole.test) else f", {len(test)} of {len(whole.test)} targets"
        splits.append(Split(whole.name + partial, tuple(place[n] for n in whole.train), test))
    return tuple(splits)


def clusters(cameras: Cameras) -> Split:
    """Two groups of camera positions by k-means (k = 2), the larger one as inputs: views that differ clearly, as Difix3D was measured
    on DL3DV. It begins at the two positions that are farthest apart, so nothing is drawn."""
    at = cameras.centres
    apart = torch.cdist(at, at)
    means = at[[int(apart.argmax()) // len(at), int(apart.argmax()) % len(at)]]
    for _ in range(_KMEANS):
        group = torch.cdist(at, means).argmin(1)
        new = torch.stack([at[group == k].mean(0) if bool((group == k).any()) else means[k] for k in (0, 1)])
        if torch.equal(new, means):
            break
        means = new
    first = [i for i in range(len(at)) if group[i] == 0]
    second = [i for i in range(len(at)) if group[i] == 1]
    if not first or not second:
        raise UserError(
            "the cameras make no two groups",
            got=f"{len(at)} cameras in one place",
            accepted="two places or more",
            do="Use --views.",
        )
    inputs, targets = (first, second) if len(first) >= len(second) else (second, first)
    return Split(CLUSTERS, tuple(inputs), tuple(targets))


def walks(names: Sequence[str]) -> Split:
    """Two walks through one place, in folders or with names of their own: one is fitted, the other measured (Nerfbusters).

    Names that hold `train` and `eval` say which is which; else the first by name is fitted.
    """
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        folder, _, file = name.removeprefix("images/").rpartition("/")
        groups.setdefault(folder or re.sub(r"\d+$", "", file.rpartition(".")[0] or file), []).append(i)
    if len(groups) != _WALKS:
        raise UserError(
            "the capture holds no two walks",
            got=f"{len(groups)} groups of names: {', '.join(sorted(groups)[:3])}",
            accepted="names in two folders, or with two beginnings, such as walk-a-000.png and walk-b-000.png",
            do="Use --views or --view-ids.",
        )
    first, second = (groups[k] for k in sorted(groups, key=lambda k: ("eval" in k.lower(), k)))
    return Split(WALKS, tuple(first), tuple(second))


def choose(capture: Capture, count: int | None, ids: Sequence[int] | None, named: str | None = None) -> Split:
    """The split that `--views`, `--view-ids` or `--split` asks for; of a named one `count` views are spread over its inputs.

    Order: explicit ids; a split file of that size beside the capture; the data set's own protocol; even spacing. Without a
    count, the one stated split is used, else every view.
    """
    total = len(capture)
    if named is not None:
        return _named(capture, count, ids, named)
    if ids is not None:
        _check_ids(ids, total)
        return Split("ids", tuple(ids), tuple(i for i in range(total) if i not in ids))
    if count is None:
        stated = [s for s in capture.splits if s.train and s.name in ("filenames", "blender")] or list(capture.splits)
        # Several split files leave the choice to --views; a single one says what to hold out.
        return stated[0] if len(stated) == 1 else Split("all", tuple(range(total)), ())
    for split in capture.splits:
        if len(split.train) == count:
            return split
    if capture.layout == "srn" and total == SRN_VIEWS and count <= len(SRN_INPUTS):
        return srn(count)
    return llff(count, total) if capture.layout == "llff" and total > LLFF_HOLD else even(count, total)


def _named(capture: Capture, count: int | None, ids: Sequence[int] | None, named: str) -> Split:
    if ids is not None or named not in NAMED:
        raise UserError(
            "--split cannot be used so",
            got=named if ids is None else f"{named} and --view-ids",
            accepted=" or ".join(NAMED) + ", with or without --views",
            do="Change it.",
        )
    whole = clusters(capture.cameras()) if named == CLUSTERS else walks([v.name for v in capture.views])
    if count is None:
        return whole
    _check(count, len(whole.train))
    return Split(f"{named}-{count}", spread(whole.train, count), whole.test)


def _check(count: int, available: int) -> None:
    if not 1 <= count <= available:
        raise UserError(
            "too many or too few views asked for", got=str(count), accepted=f"1 to {available}", do="Change --views."
        )


def _check_ids(ids: Sequence[int], total: int) -> None:
    if not ids or len(set(ids)) != len(ids) or any(not 0 <= i < total for i in ids):
        raise UserError(
            "--view-ids does not fit the capture",
            got=",".join(map(str, ids)),
            accepted=f"distinct ids from 0 to {total - 1}",
            do="Run 'halfseen data info' to see the ids.",
        )
