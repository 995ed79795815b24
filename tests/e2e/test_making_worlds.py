"""`data make` and `data render`: what they write, what they keep, and what they refuse."""

import json

import numpy as np
import pytest
import torch
from support import cli

from halfseen.data import formats, srn
from halfseen.images.io import read_raw16
from halfseen.worlds import user_meshes


def write_obj(folder):
    (folder / "two.obj").write_text(
        "mtllib two.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nusemtl red\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    )
    (folder / "two.mtl").write_text("newmtl red\nKd 0.8 0.1 0.1\n")


def make_chairs(out, *more):
    common = ("--objects", 2, "--size", 24, "--views", 3, "--layout", "srn", "--workers", 1)
    return cli("data", "make", "chairs", *common, "--out", out, *more)


def test_data_make_writes_instances_once(tmp_path, capsys):
    assert make_chairs(tmp_path / "a", "--mesh") == 0
    folders = srn.instances(tmp_path)
    assert [f.name for f in folders] == ["chairs-0000000000", "chairs-0000000001"]
    assert (folders[0] / "mesh.ply").is_file()
    assert make_chairs(tmp_path / "a", "--mesh") == 0
    assert "2 were there already" in capsys.readouterr().out


def test_data_render_writes_a_capture_that_is_understood(tmp_path):
    write_obj(tmp_path)
    options = ("--views", 3, "--size", 24, "--layout", "transforms", "--workers", 1)
    assert cli("data", "render", tmp_path / "two.obj", *options, "--out", tmp_path / "b") == 0
    assert cli("data", "check", tmp_path / "b" / "two") == 0


def test_meshes_of_one_name_are_not_mixed_up(tmp_path, capsys):
    write_obj(tmp_path)
    (tmp_path / "two.stl").write_bytes(b"")
    assert cli("data", "render", tmp_path, "--out", tmp_path / "b") == 2
    assert "two" in capsys.readouterr().err


def test_bad_requests_for_worlds_are_refused(tmp_path):
    for bad in (
        ("data", "make", "boats", "--out", tmp_path / "c"),
        ("data", "make", "cars", "--size", 2, "--out", tmp_path / "c"),
        ("data", "make", "cars", "--cameras", "x", "--out", tmp_path / "c"),
        ("data", "make", "rooms", "--cameras", "sphere", "--out", tmp_path / "c"),
        ("data", "make", "cars", "--exposure", "nan", "--out", tmp_path / "c"),
        ("data", "make", "cars", "--pose-noise", -1, "--out", tmp_path / "c"),
        ("data", "make", "cars", "--first", -1, "--out", tmp_path / "c"),
        ("data", "make", "cars", "--objects", 0, "--out", tmp_path / "c"),
        ("data", "render", tmp_path / "none", "--out", tmp_path / "c"),
    ):
        assert cli(*bad) == 2
    assert not (tmp_path / "c").exists()


def test_facts_and_visibility_are_written_beside_a_capture(tmp_path, capsys):
    write_obj(tmp_path)
    (tmp_path / "more").mkdir()
    write_obj(tmp_path / "more")
    options = ("--views", 3, "--size", 24, "--layout", "transforms", "--workers", 1, "--visibility")
    assert cli("data", "render", tmp_path, *options, "--out", tmp_path / "b") == 0
    facts = [json.loads((tmp_path / "b" / n / "world.json").read_text()) for n in ("two", "more-two")]
    assert facts[0]["scale"] == pytest.approx(user_meshes.load(tmp_path / "two.obj").scale)
    # Two meshes of one name have cameras of their own.
    assert facts[0]["camera_seed"] != facts[1]["camera_seed"]
    capture = formats.read([tmp_path / "b" / "two"])
    for i, view in enumerate(capture.views):
        count = read_raw16(tmp_path / "b" / "two" / "visibility" / f"{i:03d}.png")
        there = view.depth.read() > 0
        assert (count[there] >= 1).all()
        assert (count[~there] == 0).all()
        assert count.max() <= 3
    (tmp_path / "scene.json").write_text(json.dumps({"objects": [{"mesh": "two.obj"}]}))
    capsys.readouterr()
    assert cli("data", "render", tmp_path, *options, "--out", tmp_path / "c") == 0
    assert "2 mesh files" in capsys.readouterr().out


def test_the_test_spiral_has_its_251_views(tmp_path):
    common = ("data", "make", "chairs", "--size", 8, "--cameras", "srn-test", "--layout", "srn", "--workers", 1)
    assert cli(*common, "--out", tmp_path / "a") == 0
    capture = srn.read(tmp_path / "a" / "chairs-0000000000")
    assert len(capture.views) == 251
    eye = capture.cameras().centres[64]
    assert float(torch.rad2deg(torch.asin(eye[2] / eye.norm()))) == pytest.approx(23.04, abs=0.01)
    assert cli(*common, "--views", 252, "--out", tmp_path / "b") == 2


def test_one_broken_mesh_does_not_keep_the_others_from_being_made(tmp_path, capsys):
    write_obj(tmp_path)
    (tmp_path / "broken.stl").write_bytes(b"no mesh")
    options = ("--views", 2, "--size", 24, "--layout", "transforms", "--workers")
    for workers in (1, 2):
        out = tmp_path / str(workers)
        assert cli("data", "render", tmp_path, *options, workers, "--out", out) == 2
        said = capsys.readouterr()
        assert "broken" in said.err
        assert "1 captures" in said.out
        assert (out / "two" / "transforms.json").is_file()


def test_imperfect_renders_of_users_meshes(tmp_path):
    write_obj(tmp_path)
    options = ("--views", 2, "--size", 24, "--layout", "transforms", "--workers", 1)
    flaws = ("--pose-noise", 2, "--exposure", 0.5, "--photo-like")
    assert cli("data", "render", tmp_path / "two.obj", *options, "--out", tmp_path / "a") == 0
    assert cli("data", "render", tmp_path / "two.obj", *options, *flaws, "--out", tmp_path / "b") == 0
    facts = json.loads((tmp_path / "b" / "two" / "world.json").read_text())
    assert (facts["pose_noise_degrees"], facts["exposure_stops"]) == (2, 0.5)
    assert facts["photo_like"]["defocus"] > 0
    a, b = (formats.read([tmp_path / n / "two"]) for n in "ab")
    assert not torch.allclose(a.cameras().c2w, b.cameras().c2w)
    assert not torch.equal(a.views[0].image.read(), b.views[0].image.read())


def test_captures_made_in_another_way_are_not_kept_in_silence(tmp_path, capsys):
    write_obj(tmp_path)
    command = (
        "data",
        "render",
        tmp_path / "two.obj",
        "--views",
        2,
        "--layout",
        "transforms",
        "--workers",
        1,
        "--out",
        tmp_path / "b",
    )
    assert cli(*command, "--size", 24) == 0
    assert cli(*command, "--size", 24) == 0
    assert "1 were there already" in capsys.readouterr().out
    assert cli(*command, "--size", 32) == 2
    assert "size 24" in capsys.readouterr().err
    (tmp_path / "two.obj").write_text((tmp_path / "two.obj").read_text().replace("v 0 0 1", "v 0 0 2"))
    assert cli(*command, "--size", 24) == 2
    assert "source_sha256" in capsys.readouterr().err


def test_the_truth_of_imperfect_captures_is_kept(tmp_path):
    options = ("--size", 24, "--views", 3, "--workers", 1, "--layout", "transforms")
    assert cli("data", "make", "chairs", *options, "--pose-noise", 2, "--exposure", 0.5, "--out", tmp_path / "a") == 0
    assert cli("data", "make", "chairs", *options, "--out", tmp_path / "b") == 0
    noisy, exact = (json.loads(next((tmp_path / n).glob("*/world.json")).read_text()) for n in "ab")
    stated = json.loads(next((tmp_path / "b").glob("*/transforms.json")).read_text())
    true = np.array(noisy["true_transform_matrices"])
    np.testing.assert_allclose(true, [f["transform_matrix"] for f in stated["frames"]], atol=1e-9)
    assert len(noisy["exposure_stops_of_views"]) == 3
    assert "true_transform_matrices" not in exact


def test_objects_are_not_driven_through_and_parts_of_a_mesh_are_named(tmp_path, capsys):
    assert cli("data", "make", "chairs", "--cameras", "drive", "--out", tmp_path / "a") == 2
    assert "driven through" in capsys.readouterr().err
    (tmp_path / "m.gltf").write_text(
        json.dumps({"asset": {"version": "2.0"}, "buffers": [{"uri": "m.bin", "byteLength": 36}]})
    )
    assert cli("data", "render", tmp_path / "m.gltf", "--out", tmp_path / "b") == 2
    assert "m.bin" in capsys.readouterr().err
    assert cli("data", "make", "chairs", "--workers", 0, "--out", tmp_path / "c") == 2


def test_a_folder_of_captures_names_them(tmp_path, capsys):
    assert cli("data", "make", "chairs", "--size", 24, "--views", 2, "--workers", 1, "--out", tmp_path / "a") == 0
    assert cli("data", "check", tmp_path / "a") == 2
    assert "captures inside it" in capsys.readouterr().err
