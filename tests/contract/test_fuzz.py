"""Mutated captures of every format: each ends well or with exit code 2 and one sentence, and leaves nothing half done."""

import random
import shutil

import pytest
from support import as_bytes, cli, dotted

from halfseen.data import formats

SEED = 20_26
CASES_PER_FORMAT = 80
# Numbers and words that parsers trip over, put in place of what a text file holds.
_TEXTS = [
    "NaN",
    "-1",
    "0",
    "1e400",
    "99999999999999999999",
    "null",
    "true",
    '"x"',
    "[]",
    "{}",
    "../../x",
    "",
    "\x00",
    "é",
    "1.5.2",
]
# The command is chosen by turns, so that each format meets each.
_COMMANDS = ("check", "info", "convert", "convert")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """One small valid capture in each format."""
    root = tmp_path_factory.mktemp("originals")
    capture = as_bytes(dotted(intrinsics=(40.0, 40.0, 20.0, 15.0), size=(40, 30)))
    for entry in formats.FORMATS:
        (root / entry.name).mkdir()
        entry.write(capture, root / entry.name)
    return root


def mutate(folder, rng):
    """Damage one file (sometimes two) in one of many ways."""
    for _ in range(rng.choice((1, 1, 2))):
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        if not files:
            return
        # Small files of numbers matter more than pictures.
        path = (
            rng.choice([p for p in files if p.suffix not in (".png", ".mp4")] or files)
            if rng.random() < 0.8
            else rng.choice(files)
        )
        data = bytearray(path.read_bytes())
        match rng.randrange(8):
            case 0:
                path.unlink()
            case 1:
                path.write_bytes(data[: rng.randrange(len(data) + 1)])
            case 2:
                path.write_bytes(data + rng.randbytes(rng.randrange(1, 200)))
            case 3 if data:
                for _ in range(rng.randrange(1, 9)):
                    data[rng.randrange(len(data))] = rng.randrange(256)
                path.write_bytes(data)
            case 4 if data:
                at = rng.randrange(len(data))
                path.write_bytes(data[:at] + rng.choice((b"\xff", b"\x00")) * 8 + data[at + 8 :])
            case 5:
                path.write_bytes(b"")
            case 6:
                other = rng.choice(files)
                path.write_bytes(other.read_bytes() if other.exists() else b"?")
            case _:
                replace_number(path, data, rng)


def replace_number(path, data, rng):
    """Put a nasty token in place of one word of a text file; binary files lose a stretch in the middle."""
    try:
        words = data.decode().replace(",", " , ").split(" ")
    except UnicodeDecodeError:
        at = rng.randrange(len(data) + 1)
        path.write_bytes(data[:at] + data[at + rng.randrange(1, 64) :])
        return
    words[rng.randrange(len(words))] = rng.choice(_TEXTS)
    path.write_text(" ".join(words))


@pytest.mark.parametrize("entry", formats.FORMATS, ids=lambda f: f.name)
def test_mutated_captures(originals, tmp_path, capsys, entry):
    codes = []
    # A video costs a process for each look, so it gets fewer cases; pictures are fuzzed with the other formats.
    for case in range(CASES_PER_FORMAT if entry.name != "video" else 16):
        rng = random.Random(f"{SEED}/{entry.name}/{case}")
        root = tmp_path / str(case)
        shutil.copytree(originals / entry.name, root / "capture")
        mutate(root / "capture", rng)
        before = snapshot(root)
        command = _COMMANDS[case % len(_COMMANDS)]
        target = rng.choice(formats.names()[:-1])
        extra = ("--to", target, "--out", root / "out") if command == "convert" else ()
        code = cli("data", command, root / "capture", *extra)
        err = capsys.readouterr().err
        codes.append(code)
        assert code in (0, 2), f"case {case}: {err}"
        assert "Traceback" not in err
        after = snapshot(root)
        if code == 2:
            assert err.startswith("halfseen: "), f"case {case}: {err}"
            assert err.strip().count("\n") == 0, f"case {case}: {err}"
            assert after == before, f"case {case} left something behind"
        else:
            assert {k: v for k, v in after.items() if not k.startswith("out")} == before
            if command == "convert":
                assert formats.by_name(target).find(root / "out")
        shutil.rmtree(root)
    assert 0 in codes, "every mutation was refused: the fuzz is too coarse to reach the readers"
    if entry.name not in ("photos", "video"):
        assert 2 in codes


def snapshot(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() if p.is_file() else None for p in root.rglob("*")}


def test_there_are_enough_cases():
    assert CASES_PER_FORMAT * (len(formats.FORMATS) - 1) + 16 >= 300


def test_mutated_camera_files(originals, tmp_path, capsys):
    """Camera files of render requests go through the same reader as frames; `info` reads them whole."""
    text = (originals / "transforms" / "transforms.json").read_bytes()
    codes = []
    for case in range(60):
        rng = random.Random(f"{SEED}/cameras/{case}")
        path = tmp_path / f"{case}.json"
        path.write_bytes(text)
        replace_number(path, bytearray(text), rng)
        codes.append(cli("info", path))
        assert codes[-1] in (0, 2), f"case {case}: {capsys.readouterr().err}"
    assert {0, 2} == set(codes)
