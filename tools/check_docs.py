"""Check the documents: every relative link leads somewhere, every command shown exists, the layer picture is current."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import draw_layers

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
_COMMAND = re.compile(r"^\s*(?:\$ )?halfseen ([a-z]+(?: (?:check|info|convert))?)\b", re.MULTILINE)


def main() -> None:
    """Collect all problems, print them, exit."""
    problems = []
    documents = [p for p in ROOT.rglob("*.md") if not {".venv", "build", "demo"} & set(p.relative_to(ROOT).parts)]
    commands: set[str] = set()
    for path in documents:
        text = path.read_text()
        for target in _LINK.findall(text):
            if "://" not in target and not (path.parent / target).exists():
                problems.append(f"{path.relative_to(ROOT)}: link to {target} leads nowhere")
        commands |= set(_COMMAND.findall(text))
    for command in sorted(commands):
        done = subprocess.run(
            [sys.executable, "-m", "halfseen", *command.split(), "--help"], capture_output=True, check=False
        )
        if done.returncode:
            problems.append(f"the documents show 'halfseen {command}', which does not exist")
    if draw_layers.current() != draw_layers.draw():
        problems.append("docs/layers.svg is not what the code is; run 'make docs'")
    print("\n".join(problems) or f"{len(documents)} documents and {len(commands)} commands are fine")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
