"""`halfseen`: parse, dispatch, and turn every failure into one sentence and an exit code.

Exit codes: 0 done, 2 something the user can mend, 130 interrupted, 1 a bug of ours.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import dropwhile, takewhile
from typing import Annotated, Any

import tyro

from halfseen import __version__
from halfseen.cli.advise import Advise
from halfseen.cli.batch import Batch
from halfseen.cli.bench import BenchAdvice, BenchClaims, BenchPoses, BenchSpeed
from halfseen.cli.data import DataCheck, DataConvert, DataInfo, DataMask, DataPose
from halfseen.cli.demo import Demo
from halfseen.cli.doctor import Doctor
from halfseen.cli.evaluate import Compare, Evaluate
from halfseen.cli.export import Export, Report
from halfseen.cli.fix import Fix, Improve
from halfseen.cli.info import Info
from halfseen.cli.pairs import PriorPairs, PriorTau
from halfseen.cli.prior import PriorInfo, PriorList, PriorPublish, PriorSample, PriorTrain
from halfseen.cli.reconstruct import Reconstruct
from halfseen.cli.render import Render
from halfseen.cli.worlds import DataMake, DataRender
from halfseen.common import allocator
from halfseen.common.errors import EXIT_BUG, EXIT_INTERRUPTED, EXIT_OK, EXIT_USER, UserError, from_os_error
from halfseen.common.log import to_stderr
from halfseen.common.threads import apply_policy

_sub = tyro.conf.subcommand

DataCommand = (
    Annotated[DataCheck, _sub("check")]
    | Annotated[DataInfo, _sub("info")]
    | Annotated[DataConvert, _sub("convert")]
    | Annotated[DataPose, _sub("pose")]
    | Annotated[DataMask, _sub("mask")]
    | Annotated[DataMake, _sub("make")]
    | Annotated[DataRender, _sub("render")]
)

PriorCommand = (
    Annotated[PriorList, _sub("list")]
    | Annotated[PriorInfo, _sub("info")]
    | Annotated[PriorTrain, _sub("train")]
    | Annotated[PriorPairs, _sub("pairs")]
    | Annotated[PriorTau, _sub("tau")]
    | Annotated[PriorPublish, _sub("publish")]
    | Annotated[PriorSample, _sub("sample")]
)

BenchCommand = (
    Annotated[BenchSpeed, _sub("speed")]
    | Annotated[BenchClaims, _sub("claims")]
    | Annotated[BenchPoses, _sub("poses")]
    | Annotated[BenchAdvice, _sub("advice")]
)

Command = (
    Annotated[Reconstruct, _sub("reconstruct")]
    | Annotated[Render, _sub("render")]
    | Annotated[Export, _sub("export")]
    | Annotated[Report, _sub("report")]
    | Annotated[Evaluate, _sub("evaluate")]
    | Annotated[Compare, _sub("compare")]
    | Annotated[DataCommand, _sub("data", description="Check, describe, convert, make and render captures.")]
    | Annotated[
        PriorCommand,
        _sub("prior", description="Learned priors: list, describe, train, make pairs for, publish, sample."),
    ]
    | Annotated[BenchCommand, _sub("bench", description="Measure halfseen itself: speed, and the claims of papers.")]
    | Annotated[Fix, _sub("fix")]
    | Annotated[Batch, _sub("batch")]
    | Annotated[Improve, _sub("improve")]
    | Annotated[Advise, _sub("advise")]
    | Annotated[Info, _sub("info")]
    | Annotated[Doctor, _sub("doctor")]
    | Annotated[Demo, _sub("demo")]
)
COMMANDS = (
    "reconstruct",
    "render",
    "export",
    "report",
    "evaluate",
    "compare",
    "data",
    "prior",
    "bench",
    "batch",
    "fix",
    "improve",
    "advise",
    "info",
    "doctor",
    "demo",
)
DATA_COMMANDS = ("check", "info", "convert", "pose", "mask", "make", "render")
PRIOR_COMMANDS = ("list", "info", "train", "pairs", "tau", "publish", "sample")
BENCH_COMMANDS = ("speed", "claims", "poses")
_RECORDS = (
    Advise,
    Reconstruct,
    Render,
    Export,
    Report,
    Evaluate,
    Compare,
    BenchSpeed,
    BenchClaims,
    BenchPoses,
    BenchAdvice,
    DataCheck,
    DataInfo,
    DataConvert,
    DataPose,
    DataMask,
    DataMake,
    DataRender,
    Batch,
    Fix,
    Improve,
    PriorInfo,
    PriorTrain,
    PriorPairs,
    PriorTau,
    PriorPublish,
    PriorSample,
    Demo,
)
OPTIONS = tuple(sorted({f"--{f.name.replace('_', '-')}" for record in _RECORDS for f in dataclasses.fields(record)}))
_MARKERS = (
    tyro.conf.OmitSubcommandPrefixes,
    tyro.conf.OmitArgPrefixes,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.HelptextFromCommentsOff,
)
_NO_MEMORY = "memory ran out: got less than the task needs; accepted: a smaller task. Lower --max-size or --views."
_INTERRUPTED = "interrupted; the same command goes on where it stopped if it is given --resume (reconstruct), or as it is (data make, data render, prior train, prior pairs, batch, bench)."
# How torch words a failed allocation, which it raises as a RuntimeError.
_ALLOCATION = ("not enough memory", "out of memory")
# What terminals are told about colours.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ABOUT = (
    "3D scenes from a few photos; what no photo saw is filled in and marked. --debug shows the traceback of any error."
)


def entry() -> None:
    """The console script."""
    apply_policy()
    allocator.keep_freed()
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code. Nothing but `--debug` ever shows a traceback."""
    debug = "--debug" in argv
    if debug:
        to_stderr(verbose=True)
    words, said = [a for a in argv if a != "--debug"] or ["--help"], io.StringIO()
    if words == ["--version"]:
        print(f"halfseen {__version__}")
        return EXIT_OK
    try:
        with contextlib.redirect_stderr(said):
            command: Any = tyro.cli(Command, prog="halfseen", description=_ABOUT, args=words, config=_MARKERS)
    except SystemExit as stop:
        return EXIT_OK if not stop.code else _fail(_usage_sentence(said.getvalue(), words), EXIT_USER, debug=False)
    with warnings.catch_warnings():
        if not debug:
            # Decoders warn about odd files in their own words; what matters to the user comes as an error or a note.
            warnings.simplefilter("ignore")
        return _guarded(command, debug)


def _usage_sentence(boxed: str, words: Sequence[str]) -> str:
    """The parser's boxed complaint as one sentence of four parts, with a guess at what was meant."""
    boxed = _COLOURS.sub("", boxed)
    # Where a terminal cannot show box characters there are only rules; the first one ends the title.
    inner = [line.strip("│ ") for line in boxed.splitlines() if line.startswith(("│", " "))]
    if not boxed.startswith("╭"):
        inner = inner[2:]
    told = " ".join(takewhile(lambda line: not line.startswith(("─", "---")), dropwhile(lambda line: not line, inner)))
    if "no type matching" in told and (found := re.search(r"--[\w-]+", told)):
        told = f"a value for {found[0]} that is not of its kind"
    known: tuple[str, ...] = COMMANDS
    asked = ["halfseen"]
    second = {"data": DATA_COMMANDS, "prior": PRIOR_COMMANDS, "bench": BENCH_COMMANDS}.get(words[0], ())
    for word, choices in zip(words, (COMMANDS, second), strict=False):
        if word not in choices:
            if choices:
                known, told = choices, f"the command '{word}'"
            break
        asked.append(word)
    wrong = next((w for w in words if w.startswith("--") and w in told), words[min(len(asked) - 1, len(words) - 1)])
    options = OPTIONS if wrong.startswith("--") else known
    near = get_close_matches(wrong, options, 1)
    do = f"Did you mean '{near[0]}'?" if near and near[0] != wrong else "Correct it."
    accepted = (
        ", ".join(known)
        if not wrong.startswith("--") and len(asked) <= 2 and told.startswith("the command")
        else f"what '{' '.join(asked)} --help' lists"
    )
    return str(
        UserError("the command cannot be read", got=told or "nothing that names a command", accepted=accepted, do=do)
    )


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
        return _fail(_NO_MEMORY, EXIT_USER, debug)
    except KeyboardInterrupt:
        return _fail(_INTERRUPTED, EXIT_INTERRUPTED, debug)
    except Exception as error:  # noqa: BLE001 - the last door: a bug must not show a traceback either
        if any(words in str(error) for words in _ALLOCATION):
            return _fail(_NO_MEMORY, EXIT_USER, debug)
        sentence = f"a bug in halfseen ({type(error).__name__}: {error}). Run again with --debug and report it, please."
        return _fail(sentence, EXIT_BUG, debug)


def _fail(sentence: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"halfseen: {sentence}", file=sys.stderr)
    return code
