"""`halfseen`: parse, dispatch, and turn every failure into one sentence and an exit code.

Exit codes: 0 done, 2 something the user can mend, 130 interrupted, 1 a bug of ours.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from halfseen.cli.data import DataCheck, DataConvert, DataInfo
from halfseen.cli.demo import Demo
from halfseen.cli.doctor import Doctor
from halfseen.cli.info import Info
from halfseen.cli.reconstruct import Reconstruct
from halfseen.cli.render import Render
from halfseen.common.errors import EXIT_BUG, EXIT_INTERRUPTED, EXIT_OK, EXIT_USER, UserError, from_os_error
from halfseen.common.threads import apply_policy

_sub = tyro.conf.subcommand

DataCommand = (
    Annotated[DataCheck, _sub("check")] | Annotated[DataInfo, _sub("info")] | Annotated[DataConvert, _sub("convert")]
)


Command = (
    Annotated[Reconstruct, _sub("reconstruct")]
    | Annotated[Render, _sub("render")]
    | Annotated[DataCommand, _sub("data", description="Check, describe and convert captures.")]
    | Annotated[Info, _sub("info")]
    | Annotated[Doctor, _sub("doctor")]
    | Annotated[Demo, _sub("demo")]
)
_MARKERS = (
    tyro.conf.OmitSubcommandPrefixes,
    tyro.conf.OmitArgPrefixes,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.HelptextFromCommentsOff,
)
_ABOUT = (
    "3D scenes from a few photos; what no photo saw is filled in and marked. --debug shows the traceback of any error."
)


def entry() -> None:
    """The console script."""
    apply_policy()
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code. Nothing but `--debug` ever shows a traceback."""
    debug = "--debug" in argv
    try:
        command: Any = tyro.cli(
            Command, prog="halfseen", description=_ABOUT, args=[a for a in argv if a != "--debug"], config=_MARKERS
        )
    except SystemExit as stop:
        return int(stop.code or EXIT_OK)
    with warnings.catch_warnings():
        if not debug:
            # Decoders warn about odd files in their own words; what matters to the user comes as an error or a note.
            warnings.simplefilter("ignore")
        return _guarded(command, debug)


def _guarded(command: Any, debug: bool) -> int:
    try:
        command.run()
        return EXIT_OK
    except UserError as error:
        return _fail(str(error), EXIT_USER, debug)
    except BrokenPipeError:
        return EXIT_OK
    except OSError as error:
        return _fail(str(from_os_error(error)), EXIT_USER, debug)
    except MemoryError:
        return _fail(
            "memory ran out: got less than the task needs; accepted: a smaller task. Lower --max-size or --views.",
            EXIT_USER,
            debug,
        )
    except KeyboardInterrupt:
        return _fail(
            "interrupted; 'halfseen reconstruct ... --resume' goes on from the last checkpoint.",
            EXIT_INTERRUPTED,
            debug,
        )
    except Exception as error:  # noqa: BLE001 - the last door: a bug must not show a traceback either
        return _fail(
            f"a bug in halfseen ({type(error).__name__}: {error}). Run again with --debug and report it, please.",
            EXIT_BUG,
            debug,
        )


def _fail(sentence: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"halfseen: {sentence}", file=sys.stderr)
    return code
