"""Where an exported file came from, in the file itself: written by every export, read back by `halfseen info`.

JSON after the word `halfseen`: a comment of a video or a page; comments of PLY and OBJ, cut into lines of which all but the first
begin with `halfseen+`. A key `halfseen` in camera files and in `asset.extras` of glTF. `provenance.json` in folders. A format without
room for it (.splat) gets a small file of the same name beside it.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from halfseen.cameras.similarity import Similarity
from halfseen.common.jsonfile import read_json
from halfseen.data.capture import Capture
from halfseen.runs import run as runs
from halfseen.runs.run import Run

WORD = "halfseen"
BESIDE = ".provenance.json"
# The file in exported folders, and what content may be, by the number of photos that see it.
FILE = "provenance.json"
CLASSES = ("invented", "seen by one photo", "seen by several")
_PHOTOGRAPHED = "photographed"
# How a line that goes on with the one before begins, with the words that comments begin with; and the longest line's text:
# rply, which Open3D and CloudCompare read PLY with, refuses lines of 1024 characters, "comment " included.
_ON = f"{WORD}+ "
_GOES_ON = re.compile(r"\r?\n(?:comment |# )?" + re.escape(_ON))
_LINE = 960
# Longest comment of a video: it passes through a command line, which on Windows ends at 32,767 characters.
_ARGUMENT = 30_000
# What people are told: photos by name, digits of their hashes, characters of a value, and of the turn from the box to the frame.
_NAMED, _DIGITS, _SHOWN, _TURN = 6, 12, 80, 240


def of(run: Run, shares: dict[str, float] | None = None, counted: str = "pixels") -> dict[str, Any]:
    """What made a run's files. `shares` are parts of the content (in shares of 1 of what is `counted`) by how many photos saw them."""
    known = read_json(run.path / runs.PROVENANCE)
    request = run.config["request"]
    return {
        "program": f"{WORD} {known.get('halfseen', '')}".strip(),
        "method": request["method"],
        "variant": request["variant"],
        "field": request["field"],
        "priors": known.get("priors", []),
        "seed": request["seed"],
        "inputs": [{k: i[k] for k in ("name", "sha256") if k in i} for i in known.get("inputs", [])],
        "frame": "the capture's own frame and scale",
        "box_to_frame": run.config["to_user"],
        **({} if shares is None else {"seen": {k: round(v, 4) for k, v in shares.items()}, "counted": counted}),
    }


def line(facts: dict[str, Any]) -> str:
    """As one line."""
    return f"{WORD} {json.dumps(facts, allow_nan=False)}"


def lines(facts: dict[str, Any]) -> tuple[str, ...]:
    """As lines that any reader of comments takes."""
    text = line(facts)
    first, rest = text[:_LINE], text[_LINE:]
    return (first, *(_ON + rest[i : i + _LINE] for i in range(0, len(rest), _LINE)))


def argument(facts: dict[str, Any]) -> str:
    """As one line that a command line has room for: of very many photos, how many, and the hash of their list as JSON."""
    text = line(facts)
    if len(text) <= _ARGUMENT:
        return text
    listed = facts["inputs"]
    digest = hashlib.sha256(json.dumps(listed).encode()).hexdigest()
    return line({**facts, "inputs": {"count": len(listed), "sha256": digest}})


def remark(facts: dict[str, Any]) -> str:
    """As a comment of a page. No name of a file can end it: the signs that could are written as escapes of JSON."""
    escaped = line(facts).replace("<", "\\u003c").replace(">", "\\u003e")
    return f"<!-- {escaped} -->"


def parse(text: str) -> dict[str, Any] | None:
    """The facts in a text that holds them, on one line or on several; None if there are none."""
    text = _GOES_ON.sub("", text)
    for found in re.finditer(WORD + r" (?=\{)", text):
        try:
            facts, _ = json.JSONDecoder().raw_decode(text, found.end())
        except (ValueError, RecursionError):
            continue
        return facts if isinstance(facts, dict) else None
    return None


def sentences(facts: dict[str, Any]) -> list[str]:
    """For people; values come from a file, so each is cut to a line."""
    out = [
        f"made by {_plain(facts.get('program'))}: method {_plain(facts.get('method'))} {_plain(facts.get('variant'))}, "
        f"field {_plain(facts.get('field'))}, seed {_plain(facts.get('seed'))}",
        f"from {_photos(facts.get('inputs'))}; priors: {_plain(facts.get('priors') or 'none')}",
        f"in {_plain(facts.get('frame'))}; {_turn(facts.get('box_to_frame'))}",
    ]
    if "repaired_by" in facts:
        out.append(f"each picture repaired by {_plain(facts['repaired_by'] or 'nothing')}")
    seen = facts.get("seen")
    if isinstance(seen, dict):
        parts = [(k, v) for k, v in seen.items() if isinstance(v, int | float) and 0 <= v <= 1]
        told = ", ".join(f"{100 * v:.0f} % {_plain(k)}" for k, v in parts)
        out.append(f"of its {_plain(facts.get('counted', 'content'))}: {told}")
    return out


def _plain(value: object, most: int = _SHOWN) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(value))[:most]


def _photos(inputs: object) -> str:
    """How many photos, and the first of them with the beginnings of their hashes."""
    if isinstance(inputs, dict):
        return f"{_plain(inputs.get('count'))} photos (sha256 of their list {_plain(inputs.get('sha256'))[:_DIGITS]})"
    listed = [i for i in inputs if isinstance(i, dict)] if isinstance(inputs, list) else []
    named = [f"{_plain(i.get('name'))} sha256 {_plain(i.get('sha256'))[:_DIGITS]}" for i in listed[:_NAMED]]
    more = ["..."] if len(listed) > _NAMED else []
    return f"{len(listed)} photos" + (f" ({', '.join([*named, *more])})" if named else "")


def _turn(box_to_frame: Any) -> str:
    """The similarity from the box that was fitted to the file's frame."""
    try:
        known = Similarity.from_plain(box_to_frame)
    except (KeyError, TypeError, ValueError, RuntimeError):
        return "no transform is told"
    turn, move = (
        [[round(x, 4) for x in row] for row in m.reshape(-1, 3).tolist()] for m in (known.rotation, known.translation)
    )
    return _plain(f"from the box by scale {known.scale:.6g}, rotation {turn}, translation {move[0]}", _TURN)


def shares_of(counts: Any) -> dict[str, float]:
    """Shares of elements by the number of photos that see them (0, 1, 2 or more): a sequence of numbers."""
    total = max(len(counts), 1)
    return {name: float((counts == k).sum()) / total for k, name in enumerate(CLASSES)}


def shares_of_views(capture: Capture) -> dict[str, float]:
    """Shares of views that a prior made, and that somebody photographed."""
    invented = sum(v.origin == "generated" for v in capture.views) / max(len(capture), 1)
    return {CLASSES[0]: invented, _PHOTOGRAPHED: 1 - invented}


def beside(path: Path) -> Path:
    """The file that holds the facts of a format without room for them."""
    return path.with_name(path.name + BESIDE)
