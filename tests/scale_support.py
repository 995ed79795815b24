"""Work for tests of units: other processes have to find it by the name of its module."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from halfseen.common.errors import UserError
from halfseen.common.files import new_folder, write_text


def squares(args: int, folder: Path) -> None:
    """Negative numbers are a user's error; 13 breaks; 7 works at the second try; 9 is killed at the first; 99 always."""
    if args < 0:
        raise UserError("no root", got=str(args), accepted="0 or more", do="Change it.")
    first = not (folder.parent / f"tried-{args}").exists()
    write_text(folder.parent / f"tried-{args}", "yes")
    if args == 13 or (args == 7 and first):
        raise RuntimeError("unlucky")
    if args == 99 or (args == 9 and first):
        os.kill(os.getpid(), signal.SIGKILL)
    with new_folder(folder) as partial:
        write_text(partial / "result", str(args * args))
