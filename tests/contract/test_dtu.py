"""DTU in both of its layouts: cameras against the matrices themselves, numbers of pictures and masks, splits, refusals."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from support import POINTS, as_bytes, cli, dotted

from halfseen.cameras import rays
from halfseen.common.errors import UserError
from halfseen.data import dtu, formats, idr, projections, protocols
from halfseen.data.capture import PictureArray
from halfseen.data.load import evaluation_masks, load

SCALE = np.array([[50.0, 0, 0, 3], [0, 50, 0, -4], [0, 0, 50, 600], [0, 0, 0, 1]])


def picture(path, size=(160, 120), colour=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (colour, colour, colour)).save(path)


def masked(path, size=(160, 120)):
    """Whole on the left half but for one grey column beside its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((size[1], size[0]), np.uint8)
    values[:, : size[0] // 2] = 255
    values[:, size[0] // 2 - 1] = 128
    Image.fromarray(values).save(path)


def matrices(count):
    """P [3, 4] in millimetres that see the ball around (3, -4, 600), pixels counted from the first one's middle."""
    out = []
    for i in range(count):
        a = 0.02 * (i - count / 2)
        rotation = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
        k = np.array([[150.0, 0, 79.5], [0, 151, 59.5], [0, 0, 1]])
        centre = np.array([3, -4, 600]) - rotation.T @ np.array([0, 0, 200.0])
        out.append(7 * k @ np.c_[rotation, -rotation @ centre])
    return out


def archive(folder, count=5, numbers=(1, 3), scale=SCALE, name="cameras_sphere.npz", **extra):
    arrays = {}
    for i, p in enumerate(matrices(count)):
        arrays[f"world_mat_{i}"] = np.vstack([p, [0, 0, 0, 1]]).astype(np.float32)
        arrays[f"scale_mat_{i}"] = scale.astype(np.float32)
        arrays[f"world_mat_inv_{i}"] = np.eye(4)
    folder.mkdir(exist_ok=True)
    np.savez(folder / name, **{**arrays, **extra})
    for n in numbers:
        picture(folder / "image" / f"{n:06d}.png", colour=10 * n)
        masked(folder / "mask" / f"{n:03d}.png")
    return folder


def server(root, ones, scan="scan8", deeper=False):
    """The layout of DTU's own server for some views (1-based)."""
    for i, p in zip(ones, matrices(max(ones)), strict=False):
        picture(root / "Rectified" / "images" / scan / f"rect_{i:03d}_3_r{5000 if i < 50 else 7000}.png", colour=i)
        picture(root / "Rectified" / "images" / scan / f"rect_{i:03d}_1_r5000.png")
        text = "\n".join(" ".join(map(repr, map(float, row))) for row in p)
        path = root / "Calibration" / "cal18" / f"pos_{i:03d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
        masked(root / "submission_data" / "idrmasks" / scan / ("mask" if deeper else "") / f"{i - 1:03d}.png")
    return root / "Rectified" / "images" / scan


def assert_projects_like(camera, matrix, points):
    """The camera shows points where the matrix does, half a pixel further on."""
    expected = points @ matrix[:, :3].T + matrix[:, 3]
    at, z = rays.project(camera, torch.from_numpy(points))
    np.testing.assert_allclose(at[0].numpy(), expected[:, :2] / expected[:, 2:] + 0.5, atol=1e-3)
    assert (z > 0).all()


def test_an_archive_is_read_in_its_unit_sphere_by_the_numbers_of_its_pictures(tmp_path):
    capture = formats.read([archive(tmp_path / "a")])
    assert capture.layout == "idr"
    assert [v.name for v in capture.views] == ["image/000001.png", "image/000003.png"]
    assert [v.mask.path.name for v in capture.views] == ["001.png", "003.png"]
    assert capture.splits == ()
    unit = np.array([[0.0, 0, 0], [0.3, -0.2, 0.4]])
    world = idr.to_world(tmp_path / "a").points(torch.from_numpy(unit)).numpy()
    np.testing.assert_allclose(world, unit @ SCALE[:3, :3].T + SCALE[:3, 3], atol=1e-3)
    for view, number in zip(capture.views, (1, 3), strict=True):
        assert_projects_like(view.camera, (np.vstack([matrices(5)[number], [0, 0, 0, 1]]) @ SCALE)[:3], unit)


def test_pictures_with_names_of_their_own_count_by_rank(tmp_path):
    folder = archive(tmp_path / "a", count=2, numbers=())
    for name in ("left.png", "right.png"):
        picture(folder / "image" / name)
    capture = formats.read([folder])
    assert [v.mask for v in capture.views] == [None, None]
    assert capture.mask_role is None
    picture(folder / "image" / "third.png")
    with pytest.raises(UserError, match="2 cameras, 3 pictures"):
        formats.read([folder])


def test_the_sphere_is_preferred_and_said(tmp_path):
    folder = archive(tmp_path / "a", name="cameras_large.npz", scale=np.eye(4))
    archive(folder, name="cameras.npz", scale=np.eye(4))
    archive(folder)
    capture = formats.read([folder])
    assert "cameras_sphere.npz was read" in " ".join(capture.notes)
    assert idr.to_world(folder).scale == pytest.approx(50)


def test_the_server_layout(tmp_path):
    folder = server(tmp_path, (1, 2, 50))
    capture = formats.read([folder])
    assert (capture.layout, capture.units, len(capture)) == ("dtu", "millimetres", 3)
    assert [v.mask.path.name for v in capture.views] == ["000.png", "001.png", "049.png"]
    points = np.array([[3.0, -4, 600], [20, 10, 630]])
    for view, matrix in zip(capture.views, matrices(50), strict=False):
        assert_projects_like(view.camera, matrix, points)


def test_masks_of_some_scans_lie_deeper(tmp_path):
    capture = formats.read([server(tmp_path, (1, 2), scan="scan40", deeper=True)])
    assert [v.mask.path.parent.name for v in capture.views] == ["mask", "mask"]


def test_a_whole_scan_states_the_protocol(tmp_path):
    capture = formats.read([server(tmp_path, range(1, 50))])
    for count in protocols.DTU_COUNTS:
        split = protocols.choose(capture, count, None)
        assert split == protocols.dtu(count)
    assert protocols.dtu_splits(range(64)) == tuple(map(protocols.dtu, (3, 6, 9)))
    some = protocols.dtu_splits([1, 25, 22, 28, 3])
    assert [(s.name, s.train, s.test) for s in some] == [("dtu-3, 1 of 25 targets", (1, 2, 3), (0,))]
    assert protocols.dtu_splits([25, 22, 28]) == ()


@pytest.mark.parametrize("layout", ["idr", "dtu"])
def test_fits_never_see_masks_for_evaluation(tmp_path, layout):
    folder = archive(tmp_path / "a") if layout == "idr" else server(tmp_path, (1, 2))
    capture = formats.read([folder])
    assert capture.mask_role == "evaluation"
    loaded = load(capture, 80)
    assert loaded.mask_role is None
    assert all(v.mask is None for v in loaded.views)
    assert evaluation_masks(loaded, 80) is None
    for mask in evaluation_masks(capture, 160):
        assert mask[:, :79].all()
        assert not mask[:, 79:].any(), "a grey border pixel is no object"
    for mask in evaluation_masks(capture, 40):
        assert mask.shape == (30, 40)
        assert mask[:, :19].all()
        assert not mask[:, 20:].any()


def test_masks_for_evaluation_survive_conversion(tmp_path):
    capture = formats.read([archive(tmp_path / "a")])
    for name in ("transforms", "idr", "dtu"):
        (tmp_path / name).mkdir()
        formats.by_name(name).write(capture, tmp_path / name)
        back = formats.read([tmp_path / name], name)
        assert back.mask_role == "evaluation"
        assert torch.equal(back.views[1].mask.read_grey(), capture.views[1].mask.read_grey())


def test_other_masks_lose_their_meaning_and_it_is_said(tmp_path):
    capture = as_bytes(dotted())
    mask = PictureArray(torch.ones(120, 160))
    capture = replace(capture, views=tuple(replace(v, mask=mask) for v in capture.views), mask_role="object")
    for name in ("idr", "dtu"):
        (tmp_path / name).mkdir()
        assert any("what masks mean is lost" in s for s in formats.by_name(name).write(capture, tmp_path / name))


def test_matrices_and_cameras_are_inverse():
    cameras = dotted(intrinsics=(150.0, 160.0, 70.0, 66.0)).cameras()
    for i, p in enumerate(projections.matrices(cameras)):
        back = projections.camera(-3.7 * p, cameras.size(i), "x")
        torch.testing.assert_close(back.c2w, cameras[i].c2w, atol=1e-12, rtol=0)
        torch.testing.assert_close(back.intrinsics, cameras[i].intrinsics, atol=1e-10, rtol=0)
        assert_projects_like(back, p, POINTS.numpy())


def test_the_protocol_shows_quarter_pictures(tmp_path):
    folder = tmp_path / "scan8"
    (folder).mkdir()
    values = (np.arange(1200 * 1600) % 251).reshape(1200, 1600).astype(np.uint8)
    Image.fromarray(np.stack([values] * 3, -1)).save(folder / "rect_001_3_r5000.png")
    masked(folder / dtu.MASKS / "000.png", (1600, 1200))
    calibration = folder / dtu.CALIBRATION
    calibration.mkdir(parents=True)
    k = np.array([[2890.0, 0, 823], [0, 2880, 619], [0, 0, 1]])
    np.savetxt(calibration / "pos_001.txt", k @ np.c_[np.eye(3), [0, 0, 600.0]])
    view = dtu.at_protocol_size(formats.read([folder])).views[0]
    expected = values.reshape(300, 4, 400, 4).mean((1, 3)) / 255
    np.testing.assert_allclose(view.image.read()[..., 1].numpy(), expected, atol=1e-6)
    assert view.camera.size() == (400, 300)
    assert view.camera.intrinsics[0].tolist() == pytest.approx([2890 / 4, 720, 823.5 / 4, 619.5 / 4])
    assert torch.equal(view.mask.read_grey() == 1, torch.from_numpy((np.arange(400) < 200)[None].repeat(300, 0)))
    with pytest.raises(UserError, match="no full picture of DTU"):
        dtu.at_protocol_size(dotted())


BAD = {
    "pickle": {"world_mat_1": np.array([{}], dtype=object)},
    "shape": {"world_mat_1": np.zeros((5, 4))},
    "text": {"world_mat_1": np.full((4, 4), "x")},
    "large": {"world_mat_1": np.zeros((400, 400))},
    "not a number": {"world_mat_1": np.full((4, 4), np.nan)},
    "zeros": {"world_mat_1": np.zeros((4, 4))},
    "flat": {"world_mat_1": np.ones((4, 4))},
    "sheared scale": {f"scale_mat_{i}": np.diag([1.0, 2, 1, 1]) for i in range(5)},
    "negative scale": {f"scale_mat_{i}": np.diag([-1.0, -1, -1, 1]) for i in range(5)},
    "scales apart": {"scale_mat_1": 2 * np.eye(4)},
    "other size": {"world_mat_1": np.diag([4.0, 4, 1, 1]) @ np.vstack([matrices(5)[1], [0, 0, 0, 1]])},
}


@pytest.mark.parametrize("name", BAD)
def test_bad_archives_are_refused_in_one_sentence(tmp_path, capsys, name):
    folder = archive(tmp_path / "a", **BAD[name])
    assert cli("data", "check", folder) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY"], ids=range(3))
def test_broken_archives_are_refused(tmp_path, capsys, content):
    folder = archive(tmp_path / "a")
    (folder / "cameras_sphere.npz").write_bytes(content)
    assert cli("data", "check", folder) == 2
    assert "cameras_sphere.npz" in capsys.readouterr().err


def test_missing_calibration_is_said(tmp_path):
    folder = server(tmp_path, (1, 2))
    (tmp_path / "Calibration" / "cal18" / "pos_002.txt").unlink()
    with pytest.raises(UserError, match="pos_002"):
        formats.read([folder])
    (tmp_path / "Calibration" / "cal18").rename(tmp_path / "away")
    with pytest.raises(UserError, match="the cameras of 'scan8' are missing"):
        formats.read([folder])
