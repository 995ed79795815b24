"""Named protocols: which views are inputs and which are held out. Every number in this project names one."""

from __future__ import annotations

from collections.abc import Sequence

from halfseen.common.errors import UserError
from halfseen.data.capture import Capture, Split

LLFF_HOLD = 8
# RegNeRF's DTU protocol, 0-based: inputs in order of use; exposures that are left out; all others of the 49 are targets.
DTU_INPUTS = (25, 22, 28, 40, 44, 48, 0, 8, 13)
DTU_EXCLUDED = (3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 36, 37, 38, 39)
DTU_VIEWS = 49
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


def choose(capture: Capture, count: int | None, ids: Sequence[int] | None) -> Split:
    """The split that `--views` or `--view-ids` asks for.

    Order: explicit ids; a split file of that size beside the capture; the data set's own protocol; even spacing. Without a
    count, the one stated split is used, else every view.
    """
    total = len(capture)
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
    return llff(count, total) if capture.layout == "llff" and total > LLFF_HOLD else even(count, total)


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
