"""`halfseen advise`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from halfseen.cli.progress import Progress


@dataclass(frozen=True)
class Advise:
    """Say where one more photo would help most, as a sentence and a picture."""

    run_folder: tyro.conf.Positional[Path]
    """A run."""
    out: Path | None = None
    """The picture (default: advice.png in the run)."""
    json: bool = False
    """Print one JSON object with every place that was looked at."""

    def run(self) -> None:
        from halfseen import api

        progress = Progress("places")
        found = api.advise(api.open_run(self.run_folder), progress.update)
        path = self.out or self.run_folder / "advice.png"
        api.save_advice(found, path)
        if self.json:
            rows = [{**asdict(n.place), "unseen": n.unseen, "once": n.once, "gain": n.gain} for n in found.all]
            best = asdict(found.best.place)
            print(json.dumps({"sentence": found.sentence, "best": best, "rows": rows, "picture": str(path)}))
            return
        print(found.sentence)
        print(
            f"what it would show (red: no photo has; yellow: one has), and all places from above (blue: photos): {path}"
        )
