"""`evaluate --protocol dtu`: the targets at 400 x 300, masked, for runs of the protocol's inputs and no others."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from support import SMALL_FIT, cli

from halfseen import api
from halfseen.cameras import cameras as cams
from halfseen.cameras import paths
from halfseen.data import dtu, ply, projections
from halfseen.data.capture import Points
from halfseen.export import mesh
from halfseen.worlds import still_life

# DTU numbers (0-based): the three inputs, a target, one bad exposure.
NUMBERS = (25, 22, 28, 1, 3)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A still life in DTU's layout: pictures are enlarged, so that they are quickly made; masks are its middle."""
    folder = tmp_path_factory.mktemp("dtu") / "scan8"
    folder.mkdir()
    eye = [[2.2 * np.cos(a), 2.2 * np.sin(a), 1.2] for a in np.linspace(0, 1, len(NUMBERS))]
    up = torch.tensor([0.0, 0, 1], dtype=torch.float64)
    poses = paths.look_at(torch.tensor(eye, dtype=torch.float64), torch.tensor([0, 0, 0.2], dtype=torch.float64), up)
    small = cams.make(poses, (90.0, 90.0, 40.0, 30.0), (80, 60))
    matrices = projections.matrices(small.resized(*dtu.FULL_SIZE))
    (folder / dtu.CALIBRATION).mkdir(parents=True)
    (folder / dtu.MASKS).mkdir(parents=True)
    mask = np.zeros((1200, 1600), np.uint8)
    mask[300:900, 400:1200] = 255
    for number, view, matrix in zip(NUMBERS, still_life.capture(3, small, (0,)).views, matrices, strict=True):
        pixels = (view.image.read() * 255).round().to(torch.uint8).numpy()
        Image.fromarray(pixels).resize(dtu.FULL_SIZE, Image.Resampling.BICUBIC).save(
            folder / f"rect_{number + 1:03d}_3_r5000.png", compress_level=1
        )
        np.savetxt(folder / dtu.CALIBRATION / f"pos_{number + 1:03d}.txt", matrix)
        Image.fromarray(mask).save(folder / dtu.MASKS / f"{number:03d}.png")
    return folder


def test_the_protocol_measures_its_targets_masked_and_refuses_other_inputs(scan, still_life_folder, tmp_path, capsys):
    small = ("--max-size", 48, "--variant", "basic", "--steps", 20, *SMALL_FIT)
    assert cli("reconstruct", scan, "--out", tmp_path / "three", "--views", 3, *small) == 0
    capsys.readouterr()
    assert cli("evaluate", tmp_path / "three", "--against", scan, "--protocol", "dtu", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["protocol"]["name"] == "dtu"
    assert found["protocol"]["split"].startswith("dtu-3, 1 of 25 targets: 3 inputs")
    assert found["protocol"]["size"] == [400, 300]
    assert "evaluation" in found["protocol"]["mask"]
    assert [r["view"] for r in found["rows"]] == ["rect_002_3_r5000.png"]
    assert {"psnr", "psnr_masked", "ssim_composited"} <= set(found["mean"])
    assert found["mean"]["psnr_masked"] != found["mean"]["psnr"]
    assert cli("evaluate", tmp_path / "three", "--against", scan, "--protocol", "dtu-surface") == 2
    assert "--truth" in capsys.readouterr().err
    # Nothing of the masks is in the run.
    run = json.loads((tmp_path / "three" / "inputs" / "transforms.json").read_text())
    assert "mask_role" not in run
    assert cli("evaluate", tmp_path / "three", "--against", still_life_folder, "--protocol", "dtu") == 2
    assert "none of DTU's few-view protocol" in capsys.readouterr().err


def test_the_surface_of_a_run_is_measured_in_millimetres(scan, tmp_path, monkeypatch):
    """A mesh that is known in place of the run's own: a square over the table, and one behind the cameras that no mask allows."""
    io = pytest.importorskip("scipy.io")
    small = ("--max-size", 48, "--variant", "basic", "--steps", 2, *SMALL_FIT)
    assert cli("reconstruct", scan, "--out", tmp_path / "run", "--views", 3, *small) == 0
    (tmp_path / "ObsMask").mkdir()
    grid = np.linspace(-0.3, 0.3, 40)
    xy = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    truth = Points(np.c_[xy, np.zeros(len(xy))], np.zeros((len(xy), 3), np.uint8))
    (tmp_path / "Points" / "stl").mkdir(parents=True)
    ply.write_points(tmp_path / "Points" / "stl" / "stl008_total.ply", truth)
    box = {"ObsMask": np.ones((11, 11, 11), np.uint8), "BB": np.array([[-5.0] * 3, [5.0] * 3]), "Res": 1.0}
    io.savemat(tmp_path / "ObsMask" / "ObsMask8_10.mat", box)
    io.savemat(tmp_path / "ObsMask" / "Plane8.mat", {"P": np.array([[0.0], [0], [1], [1]])})
    corners = np.array([[-0.3, -0.3, 0.15], [0.3, -0.3, 0.15], [0.3, 0.3, 0.15], [-0.3, 0.3, 0.15]])
    xyz, faces = (
        np.concatenate([corners, 5 * corners + [9, 0, 0]]),
        np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]),
    )
    made = mesh.Mesh(xyz, faces, np.zeros((8, 3), np.uint8), np.zeros(8, np.uint8))
    monkeypatch.setattr(mesh, "of", lambda *_: made)
    found = api.evaluate_surface(api.open_run(tmp_path / "run"), api.load(scan), tmp_path)
    assert found["protocol"]["name"] == "dtu-surface"
    assert found["mean"]["accuracy"] == pytest.approx(0.15, abs=1e-3)
    assert 0.15 < found["mean"]["completeness"] < 0.2, "points of the mesh lie 0.2 mm apart"
    assert found["mean"]["chamfer"] == pytest.approx((found["mean"]["accuracy"] + found["mean"]["completeness"]) / 2)
    evaluate = ("evaluate", tmp_path / "run", "--against", scan, "--protocol", "dtu-surface", "--truth", tmp_path)
    assert cli(*evaluate) == 0
