"""Draw docs/layers.svg: the packages of halfseen in their layers, with the imports that really exist between them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import grimp  # type: ignore[import-untyped,unused-ignore]

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "layers.svg"
_WIDTH, _ROW, _BOX, _HIGH, _TOP = 900, 92, 118, 38, 30
_STYLE = "font-family:system-ui,sans-serif;font-size:15px"


def layers() -> list[list[str]]:
    """The layers of the first import contract, top first; rooms that are still empty keep their parentheses."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return [[name.strip() for name in layer.split("|")] for layer in settings["contracts"][0]["layers"]]


def edges(names: set[str]) -> list[tuple[str, str]]:
    """Imports between packages of the top level."""
    graph = grimp.build_graph("halfseen")
    found = set()
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            pair = (_package(module), _package(other))
            if pair[0] != pair[1] and set(pair) <= names:
                found.add(pair)
    return sorted(found)


def draw() -> str:
    """The picture as SVG text, the same for the same code."""
    rows = layers()
    at = {}
    for r, row in enumerate(rows):
        for c, name in enumerate(row):
            at[name.strip("()")] = ((c + 1) * _WIDTH / (len(row) + 1), _TOP + r * _ROW)
    present = {n for row in rows for n in row if not n.startswith("(")}
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_TOP * 2 + len(rows) * _ROW}" style="{_STYLE}">'
    ]
    out.append(f'<rect width="{_WIDTH}" height="{_TOP * 2 + len(rows) * _ROW}" fill="#faf9f6"/>')
    for a, b in edges(present):
        (x1, y1), (x2, y2) = at[a], at[b]
        out.append(
            f'<path d="M{x1:.0f} {y1 + _HIGH:.0f} C{x1:.0f} {y1 + _ROW:.0f} {x2:.0f} {y2 - _ROW / 2:.0f} {x2:.0f} {y2:.0f}" fill="none" stroke="#b9b4a8"/>'
        )
    for row in rows:
        for name in row:
            empty = name.startswith("(")
            x, y = at[name.strip("()")]
            dash = ' stroke-dasharray="4 4"' if empty else ""
            out.append(
                f'<rect x="{x - _BOX / 2:.0f}" y="{y:.0f}" width="{_BOX}" height="{_HIGH}" rx="6" fill="{"#faf9f6" if empty else "#fff"}" '
                f'stroke="{"#b9b4a8" if empty else "#c45422"}"{dash}/>'
            )
            out.append(
                f'<text x="{x:.0f}" y="{y + 24:.0f}" text-anchor="middle" fill="{"#8d897f" if empty else "#1e1e22"}">{name.strip("()")}</text>'
            )
    return "\n".join([*out, "</svg>", ""])


def current() -> str:
    """The committed picture."""
    return PICTURE.read_text() if PICTURE.is_file() else ""


def _package(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "halfseen"


if __name__ == "__main__":
    PICTURE.write_text(draw())
    print(PICTURE.relative_to(ROOT))
