"""Where an exported file came from, in the file itself: written by every export, read back by `halfseen info`.

JSON after the word `halfseen`: the comment of a video, or comments of PLY and OBJ, cut into lines of which all but the first begin
with `halfseen+`; `asset.extras` of glTF. Formats without room for it (.splat) get a small file of the same name beside them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from halfseen.common.jsonfile import read_json
from halfseen.runs import run as runs
from halfseen.runs.run import Run

WORD = "halfseen"
BESIDE = ".provenance.json"
# The file in exported folders, and what content may be, by the number of photos that see it.
FILE = "provenance.json"
CLASSES = ("invented", "seen by one photo", "seen by several")
# Longest text that is read back.
_LONGEST = 1 << 22
# How a line that goes on with the one before begins, with the words that comments begin with; and the longest line's text:
# rply, which Open3D and CloudCompare read PLY with, refuses lines of 1024 characters, "comment " included.
_ON = f"{WORD}+ "
_GOES_ON = re.compile(r"\r?\n(?:comment |# )?" + re.escape(_ON))
_LINE = 960


def of(run: Run, shares: dict[str, float] | None = None) -> dict[str, Any]:
    """What made a run's files. `shares` are parts of the content (in shares of 1) by how many photos saw them."""
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
        **({} if shares is None else {"seen": {k: round(v, 4) for k, v in shares.items()}}),
    }


def line(facts: dict[str, Any]) -> str:
    """As one line."""
    return f"{WORD} {json.dumps(facts, allow_nan=False)}"


def lines(facts: dict[str, Any]) -> tuple[str, ...]:
    """As lines that any reader of comments takes."""
    text = line(facts)
    first, rest = text[:_LINE], text[_LINE:]
    return (first, *(_ON + rest[i : i + _LINE] for i in range(0, len(rest), _LINE)))


def parse(text: str) -> dict[str, Any] | None:
    """The facts in a text that holds them, on one line or on several; None if there are none."""
    text = _GOES_ON.sub("", text)
    start = text.find(WORD + " {")
    if start < 0:
        return None
    try:
        found, _ = json.JSONDecoder().raw_decode(text[start + len(WORD) + 1 :][:_LONGEST])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def sentences(facts: dict[str, Any]) -> list[str]:
    """For people; values come from a file, so each is cut to a line."""

    def plain(value: object) -> str:
        return "".join(c if c.isprintable() else "?" for c in str(value))[:80]

    inputs = facts.get("inputs")
    out = [
        f"made by {plain(facts.get('program'))}: method {plain(facts.get('method'))} {plain(facts.get('variant'))}, "
        f"field {plain(facts.get('field'))}, seed {plain(facts.get('seed'))}",
        f"from {len(inputs) if isinstance(inputs, list) else 0} photos; priors: {plain(facts.get('priors') or 'none')}",
    ]
    seen = facts.get("seen")
    if isinstance(seen, dict):
        out.append(
            "content: "
            + ", ".join(f"{100 * float(v):.0f} % {plain(k)}" for k, v in seen.items() if isinstance(v, int | float))
        )
    return out


def shares_of(counts: Any) -> dict[str, float]:
    """Shares of elements by the number of photos that see them (0, 1, 2 or more): a sequence of numbers."""
    total = max(len(counts), 1)
    return {name: float((counts == k).sum()) / total for k, name in enumerate(CLASSES)}


def beside(path: Path) -> Path:
    """The file that holds the facts of a format without room for them."""
    return path.with_name(path.name + BESIDE)
