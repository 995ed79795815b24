"""The other commands as a person uses them: check with its sheet, info, doctor, help."""

import json
import os
import subprocess
import sys

import pytest
from PIL import Image
from support import cli

from halfseen.cli.main import _usage_sentence
from halfseen.data import formats


def test_check_prints_numbers_and_writes_sheets(still_life_folder, tmp_path, capsys):
    assert cli("data", "check", still_life_folder, "--sheet", tmp_path / "a.png") == 0
    out = capsys.readouterr().out
    for words in ("5 views", "48x36", "up axis +z", "baseline angles", "bounds", "coverage", "train_test_split_3"):
        assert words in out
    assert Image.open(tmp_path / "a.png").width > 1000
    assert cli("data", "check", still_life_folder, "--sheet", tmp_path / "a.html") == 0
    page = (tmp_path / "a.html").read_text()
    assert page.count("<img") == 5 + 3
    assert "http" not in page  # self-contained
    assert cli("data", "check", still_life_folder, "--sheet", tmp_path / "a.docx") == 2


def test_check_as_json(still_life_folder, capsys):
    capsys.readouterr()
    assert cli("data", "check", still_life_folder, "--json") == 0
    row = json.loads(capsys.readouterr().out)["rows"][0]
    assert row["views"] == 5
    assert row["geometry"]["up_name"].startswith("+z")


def test_info_lists_views(still_life_folder, capsys):
    assert cli("data", "info", still_life_folder, "--json") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [r["id"] for r in rows] == [0, 1, 2, 3, 4]
    assert rows[0]["depth"]
    assert cli("data", "info", still_life_folder) == 0
    assert "images/000.png" in capsys.readouterr().out


@pytest.mark.parametrize("target", formats.names())
def test_convert_to_every_format(still_life_folder, tmp_path, capsys, target):
    assert cli("data", "convert", still_life_folder, "--to", target, "--out", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert "5 views written" in out
    assert formats.by_name(target).find(tmp_path / "out")
    assert ("lost:" in out) == (target != "transforms")


def test_info_knows_what_a_file_is(still_life_folder, tmp_path, capsys):
    import numpy as np

    from halfseen.data import ply
    from halfseen.data.capture import Points

    ply.write_points(tmp_path / "p.ply", Points(np.ones((3, 3)), np.zeros((3, 3), np.uint8)))
    for path, words in (
        (tmp_path / "p.ply", "3 points"),
        (still_life_folder, "5 views"),
        (still_life_folder / "transforms.json", "5 cameras of 48x36"),
        (still_life_folder / "images" / "000.png", "picture: 48x36"),
    ):
        assert cli("info", path) == 0
        assert words in capsys.readouterr().out


def test_photos_and_videos_are_understood_without_cameras(still_life_folder, tmp_path, capsys):
    photos = sorted((still_life_folder / "images").iterdir())[:2]
    assert cli("data", "check", *photos) == 0
    assert "no camera poses" in capsys.readouterr().out
    assert cli("reconstruct", *photos, "--out", tmp_path / "run", "--steps", 2) == 0
    assert "cameras of 2 of 2 photos were found" in capsys.readouterr().err
    assert cli("data", "convert", still_life_folder, "--to", "video", "--out", tmp_path / "v") == 0
    capsys.readouterr()
    assert cli("data", "check", tmp_path / "v" / "video.mp4", "--sheet", tmp_path / "v.png") == 0
    assert "5 of 5 frames were taken" in capsys.readouterr().out


def test_doctor_and_help(capsys):
    assert cli("doctor") == 0
    assert "torch" in capsys.readouterr().out
    for arguments in (("--help",), ("data", "--help"), ("reconstruct", "--help"), ("render", "--help")):
        assert cli(*arguments) == 0
        assert "usage: halfseen" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("reconstruct",),
        ("reconstruct", "x", "--method", "magic"),
        ("reconstruct", "x", "--views", "three"),
    ],
)
def test_wrong_usage_exits_with_two_and_one_sentence(capsys, arguments):
    assert cli(*arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("halfseen: ")
    assert "got " in err
    assert err.count("\n") == 1


def test_a_sheet_never_replaces_a_file(still_life_folder, tmp_path, capsys):
    (tmp_path / "mine.png").write_bytes(b"precious")
    assert cli("data", "check", still_life_folder, "--sheet", tmp_path / "mine.png") == 2
    assert (tmp_path / "mine.png").read_bytes() == b"precious"


def test_truncated_pictures_are_found_by_check_and_convert(still_life_folder, tmp_path, capsys):
    import shutil

    folder = tmp_path / "capture"
    shutil.copytree(still_life_folder, folder)
    path = folder / "images" / "003.png"
    path.write_bytes(path.read_bytes()[:-400])
    assert cli("data", "check", folder) == 2
    assert "003.png" in capsys.readouterr().err
    assert cli("data", "convert", folder, "--to", "colmap", "--out", tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()


def test_outputs_named_by_a_dot(still_life_folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "mine").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert cli("data", "convert", still_life_folder, "--to", "colmap", "--out", ".") == 2
    assert "exists already" in capsys.readouterr().err


def test_typos_are_guessed(capsys):
    for typed, meant in (
        (("recontruct", "x"), "'reconstruct'"),
        (("data", "chek", "x"), "'check'"),
        (("reconstruct", "x", "--step", "5"), "'--steps'"),
    ):
        assert cli(*typed) == 2
        assert f"Did you mean {meant}?" in capsys.readouterr().err
    assert cli("reconstruct", "x", "--views", "three") == 2
    assert "--views" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_complaints_are_read_on_every_terminal(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    code = [sys.executable, "-m", "halfseen", "reconstruct", "x", "--step", "5"]
    result = subprocess.run(code, capture_output=True, env=environment, check=False)
    assert result.returncode == 2
    assert b"Did you mean '--steps'?" in result.stderr
    assert result.stderr.count(b"\n") == 1


def test_complaints_in_colour_are_read():
    boxed = "\x1b[31m╭─\x1b[0m Parsing ─╮\n\x1b[31m│\x1b[0m Unrecognized options: \x1b[1m--step\x1b[0m, 5 \x1b[31m│\x1b[0m\n╰───╯\n"
    assert "Did you mean '--steps'?" in _usage_sentence(boxed, ["reconstruct", "x", "--step", "5"])


def test_bare_and_version(capsys):
    assert cli() == 0
    assert "usage: halfseen" in capsys.readouterr().out
    assert cli("--version") == 0
    assert capsys.readouterr().out.startswith("halfseen 0.")


def test_pointing_at_the_photo_folder_leads_to_the_poses(still_life_folder, tmp_path, capsys):
    assert cli("reconstruct", still_life_folder / "images", "--out", tmp_path / "run", "--views", 3) == 2
    err = capsys.readouterr().err
    assert "5 photos" in err
    assert "poses lie one folder up" in err


def test_pictures_without_a_pose_are_noted(still_life_folder, tmp_path, capsys):
    import shutil

    folder = tmp_path / "capture"
    shutil.copytree(still_life_folder, folder)
    shutil.copyfile(folder / "images" / "000.png", folder / "images" / "extra.png")
    assert cli("data", "check", folder) == 0
    assert "1 pictures beside the listed ones have no pose" in capsys.readouterr().out


def test_other_tools_names_of_formats(still_life_folder, tmp_path):
    assert cli("data", "convert", still_life_folder, "--to", "COLMAP", "--out", tmp_path / "a") == 0
    assert cli("data", "convert", tmp_path / "a", "--to", "nerfstudio", "--out", tmp_path / "b") == 0
    assert (tmp_path / "b" / "transforms.json").is_file()
