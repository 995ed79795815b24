"""Everything a user or an attacker may hand us: exit code 2, one sentence, no traceback, nothing written."""

import json
import os
import shutil
import stat
import struct

import numpy as np
import pytest
from PIL import Image
from support import cli

from halfseen.data import formats


@pytest.fixture
def capture(still_life_folder, tmp_path):
    folder = tmp_path / "capture"
    shutil.copytree(still_life_folder, folder)
    return folder


@pytest.fixture
def refused(tmp_path, capsys):
    """Run `data convert` on a folder and return its one sentence; nothing may be left behind."""

    def run(folder, *extra):
        before = sorted(tmp_path.rglob("*"))
        code = cli("data", "convert", folder, "--to", "colmap", "--out", tmp_path / "out", *extra)
        err = capsys.readouterr().err
        assert code == 2, err
        assert "Traceback" not in err
        assert err.startswith("halfseen: ")
        assert err.count("\n") == 1
        for part in ("got ", "accepted: "):
            assert part in err
        assert sorted(tmp_path.rglob("*")) == before
        return err

    return run


def edit(folder, change):
    path = folder / "transforms.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def frame(document, i=0):
    return document["frames"][i]


BAD_JSON = {
    "nan pose": lambda d: frame(d).update(
        transform_matrix=[[1, 0, 0, 1e400], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    ),
    "scaled rotation": lambda d: frame(d).update(
        transform_matrix=[[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]
    ),
    "mirrored pose": lambda d: frame(d).update(
        transform_matrix=[[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    ),
    "pose of words": lambda d: frame(d).update(transform_matrix="identity"),
    "pose too small": lambda d: frame(d).update(transform_matrix=[[1, 0], [0, 1]]),
    "no pose": lambda d: frame(d).pop("transform_matrix"),
    "zero focal": lambda d: d.update(fl_x=0),
    "negative focal": lambda d: d.update(fl_y=-30.0),
    "focal of text": lambda d: d.update(fl_x="50"),
    "focal true": lambda d: d.update(fl_x=True),
    "angle of a circle": lambda d: (d.pop("fl_x"), d.pop("fl_y"), d.update(camera_angle_x=7.0)),
    "climbing path": lambda d: frame(d).update(file_path="../../etc/passwd"),
    "absolute path": lambda d: frame(d).update(file_path="/etc/passwd"),
    "number as path": lambda d: frame(d).update(file_path=3),
    "a twin frame": lambda d: d["frames"].append(dict(frame(d))),
    "no frames": lambda d: d.update(frames=[]),
    "frames of a dict": lambda d: d.update(frames={}),
    "frames of numbers": lambda d: d.update(frames=[1, 2]),
    "100000 frames": lambda d: d.update(frames=[frame(d)] * 100_000),
    "other aspect": lambda d: d.update(w=48, h=48),
    "zero width": lambda d: d.update(w=0),
    "huge width": lambda d: d.update(w=10**12),
    "mask outside": lambda d: frame(d).update(mask_path="../m.png"),
    "depth outside": lambda d: frame(d).update(depth_file_path="../d.npy"),
    "points outside": lambda d: d.update(ply_file_path="../p.ply"),
    "mask absent": lambda d: frame(d).update(mask_path="m.png"),
    "a picture as depth": lambda d: frame(d).update(depth_file_path=frame(d)["file_path"]),
    "principal point far away": lambda d: d.update(cx=1e9),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_transforms(capture, refused, name):
    edit(capture, BAD_JSON[name])
    refused(capture)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"frames": [' + "[" * 50_000, "\x00" * 100], ids=range(6))
def test_bad_json(capture, refused, text):
    (capture / "transforms.json").write_text(text)
    refused(capture)


def test_all_pictures_missing(capture, refused):
    shutil.rmtree(capture / "images")
    assert "no listed picture exists" in refused(capture)


def test_a_truncated_picture_that_must_be_decoded(capture, tmp_path, capsys):
    path = next(iter(sorted((capture / "images").iterdir())))
    path.write_bytes(path.read_bytes()[:300])
    assert cli("reconstruct", capture, "--out", tmp_path / "run", "--steps", 2) == 2
    assert "cannot be decoded" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_picture_that_is_text(capture, refused):
    next(iter((capture / "images").iterdir())).write_text("not a picture")
    assert "no picture" in refused(capture)


def test_a_bomb_is_refused_before_it_is_decoded(capture, refused):
    """A PNG header that promises 100,000 x 100,000 pixels."""
    import zlib

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    data += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    next(iter(sorted((capture / "images").iterdir()))).write_bytes(data)
    assert "too large" in refused(capture)


def test_a_link_out_of_the_folder(capture, refused, tmp_path):
    secret = tmp_path / "secret.png"
    Image.new("RGB", (48, 36)).save(secret)
    path = next(iter(sorted((capture / "images").iterdir())))
    path.unlink()
    path.symlink_to(secret)
    assert "leaves the capture's folder" in refused(capture)


def test_a_header_that_promises_a_trillion_points(capture, refused):
    (capture / "p.ply").write_bytes(
        b"ply\nformat binary_little_endian 1.0\nelement vertex 1000000000000\n"
        b"property float x\nproperty float y\nproperty float z\nend_header\n" + b"\x00" * 24
    )
    edit(capture, lambda d: d.update(ply_file_path="p.ply"))
    assert "1000000000000 points promised" in refused(capture)


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin", "rigs.bin", "frames.bin"])
def test_colmap_counts_of_a_trillion(capture, refused, tmp_path, name):
    folder = tmp_path / "colmap"
    folder.mkdir()
    formats.by_name("colmap").write(formats.read([capture]), folder)
    path = folder / "sparse" / "0" / name
    path.write_bytes(struct.pack("<Q", 10**12) + path.read_bytes()[8:])
    assert "promised" in refused(folder)


def test_a_npy_header_that_promises_a_terabyte(capture, refused, tmp_path):
    folder = tmp_path / "llff"
    folder.mkdir()
    formats.by_name("llff").write(formats.read([capture]), folder)
    path = folder / "poses_bounds.npy"
    path.write_bytes(path.read_bytes().replace(b"(5, 17)", b"(9999999999, 17)"[:7]))
    path.write_bytes(
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000, 17), }".ljust(117)
        + b"\n"
        + bytes(800)
    )
    refused(folder)


def test_a_pickled_npy_is_not_loaded(capture, refused, tmp_path):
    folder = tmp_path / "llff"
    folder.mkdir()
    formats.by_name("llff").write(formats.read([capture]), folder)
    np.save(folder / "poses_bounds.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused(folder)


def test_llff_with_a_picture_too_many(capture, refused, tmp_path):
    folder = tmp_path / "llff"
    folder.mkdir()
    formats.by_name("llff").write(formats.read([capture]), folder)
    Image.new("RGB", (48, 36)).save(folder / "images" / "zzz.png")
    assert "5 poses, 6 pictures" in refused(folder)


def test_empty_and_absent_folders(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no capture" in refused(tmp_path / "empty")
    assert "does not exist" in refused(tmp_path / "nothing")


def test_photos_without_poses_say_what_is_needed(refused, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "ab":
        Image.new("RGB", (32, 24)).save(folder / f"{name}.jpg")
    assert "no camera poses" in refused(folder)


def test_files_that_are_no_photos(refused, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    assert "no photo" in refused(tmp_path / "a.txt")


def test_an_unknown_format_names_the_known_ones(capture, refused):
    assert "colmap-text" in refused(capture, "--format", "llff2")
    assert "does not hold the format" in refused(capture, "--format", "colmap")


def test_an_existing_output_is_not_touched(capture, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("x")
    assert cli("data", "convert", capture, "--to", "colmap", "--out", out) == 2
    assert "exists already" in capsys.readouterr().err
    assert [p.name for p in out.iterdir()] == ["mine"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(capture, refused):
    (capture / "transforms.json").chmod(0)
    assert "no permission" in refused(capture)


def test_a_folder_that_cannot_be_written(capture, tmp_path, capsys):
    """A file where the parent folder should be: the same error path as a forbidden one, and root meets it too."""
    (tmp_path / "file").write_text("x")
    assert cli("data", "convert", capture, "--to", "colmap", "--out", tmp_path / "file" / "out") == 2
    assert "cannot be used" in capsys.readouterr().err
    assert stat.S_ISREG((tmp_path / "file").stat().st_mode)


def test_one_view_is_accepted_with_a_warning(capture, capsys):
    edit(capture, lambda d: d.update(frames=d["frames"][:1]))
    for path in capture.glob("train_test_split_*.json"):
        path.unlink()
    assert cli("data", "check", capture) == 0
    assert "one view" in capsys.readouterr().out


def test_a_split_that_names_absent_views(capture, refused):
    (capture / "train_test_split_3.json").write_text('{"train_ids": [0, 99], "test_ids": []}')
    assert "not there" in refused(capture)


def test_debug_shows_the_traceback(tmp_path, capsys):
    assert cli("data", "check", tmp_path / "nothing", "--debug") == 2
    assert "Traceback" in capsys.readouterr().err
