"""Data sets of objects in the layouts that they are downloaded in: ABO and CLEVR3D."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from halfseen.cameras import convert, paths, rays
from halfseen.common.errors import UserError
from halfseen.data import abo, clevr3d, formats, srn
from halfseen.data import load as loading
from halfseen.methods.nerfdiff.data_sets import Folder, of_folder
from halfseen.methods.nerfdiff.photo_to_field import NerfConfig
from halfseen.methods.nerfdiff.training import NerfDiffTask
from halfseen.methods.nerfdiff.training_config import Config
from halfseen.worlds import sample
from halfseen.worlds.families import by_name
from halfseen.worlds.objects import as_views

UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
# Length of the model's extents.
SIZE = 3.0


def item(root: Path, name: str = "B001", views: int = 12, lights: tuple[str, ...] = ("0", "1")) -> Path:
    """An item whose pictures show a red square at its middle, of the files' own size."""
    folder = root / name
    eyes = SIZE * torch.nn.functional.normalize(
        torch.randn(views, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=1
    )
    poses = convert.swap_opengl(paths.look_at(eyes, torch.zeros_like(eyes), UP))
    k = [40.0, 0, 16, 0, 40, 16, 0, 0, 1]
    table = {"views": [{"K": k, "pose": p.reshape(-1).tolist()} for p in poses]}
    for light in lights:
        (folder / "render" / light).mkdir(parents=True)
        for i in range(views):
            picture = np.full((32, 32, 3), 90 + 10 * int(light), np.uint8)
            picture[12:20, 12:20] = (200, 20, 20)
            Image.fromarray(picture).save(folder / "render" / light / f"render_{i}.jpg", quality=95)
    (folder / "segmentation").mkdir()
    for i in range(views):
        mask = np.zeros((32, 32), np.uint8)
        mask[12:20, 12:20] = 255
        Image.fromarray(mask).save(folder / "segmentation" / f"segmentation_{i}.jpg", quality=95)
    (folder / "metadata.json").write_text(json.dumps(table))
    return folder


def test_an_item_is_read_with_its_own_cameras_in_the_order_of_numbers(tmp_path: Path) -> None:
    folder = item(tmp_path)
    capture = formats.read([folder])
    assert capture.layout == "abo"
    assert [v.name for v in capture.views][9:11] == ["render/0/render_9.jpg", "render/0/render_10.jpg"]
    cameras = capture.cameras()
    assert cameras.centres.norm(dim=-1).tolist() == pytest.approx([SIZE] * 12)
    pixels, z = rays.project(cameras, torch.zeros(1, 3, dtype=torch.float64))
    assert torch.allclose(pixels, torch.full_like(pixels, 16.0), atol=1e-6)
    assert bool((z > 0).all())
    assert any("1 other lightings; 0 was read" in n for n in capture.notes)
    assert any("files' own" in n for n in capture.notes)
    loaded = loading.load(capture, 32)
    assert loaded.mask_role == "object"
    assert float(loaded.views[0].image.read()[0, 0].min()) > 0.97, "what is around the object is white"


def test_distances_are_in_the_models_size_where_a_table_says_it(tmp_path: Path) -> None:
    folder = item(tmp_path)
    with gzip.open(tmp_path / "3dmodels.csv.gz", "wt") as file:
        file.write("3dmodel_id,path,meshes,extent_x,extent_y,extent_z\nB000,a,1,9,9,9\nB001,a,1,1,2,2\n")
    assert formats.read([folder]).cameras().centres.norm(dim=-1).tolist() == pytest.approx([1.0] * 12)


def test_a_lighting_may_be_named_and_a_split_lists_scenes(tmp_path: Path) -> None:
    item(tmp_path, "B001")
    item(tmp_path, "B002", lights=("0",))
    capture = formats.read([tmp_path / "B001" / "render" / "1"])
    assert capture.views[0].name == "render/1/render_0.jpg"
    assert len(abo.scenes(tmp_path)) == 3
    (tmp_path / "train_test_split.csv").write_text("item,split,a,b\nB001,TRAIN,x,y\nB002,TEST,x,y\n")
    assert [p.parent.parent.name for p in abo.scenes(tmp_path, "test")] == ["B002"]
    with pytest.raises(UserError, match="no such split"):
        abo.scenes(tmp_path, "other")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: (f / "segmentation" / "segmentation_3.jpg").unlink(), "has no mask"),
        (lambda f: (f / "metadata.json").write_text('{"views": []}'), "has no camera"),
        (lambda f: (f / "metadata.json").write_text('{"views": [{"K": [1], "pose": []}]}'), "'K' is not usable"),
        (
            lambda f: (f / "metadata.json").write_text('{"views": [{"K": ["x", 0, 0, 0, 1, 0, 0, 0, 1], "pose": []}]}'),
            "'K' is not usable",
        ),
    ],
)
def test_broken_items_say_what_is_wrong(tmp_path: Path, change: object, words: str) -> None:
    folder = item(tmp_path)
    change(folder)  # type: ignore[operator]
    with pytest.raises(UserError, match=words):
        formats.read([folder])


def clevr(root: Path, scenes: int = 3) -> Path:
    rng = np.random.default_rng(0)
    places = rng.normal(size=(scenes, 3, 3))
    places = 9 * places / np.linalg.norm(places, axis=-1, keepdims=True)
    shape = np.zeros((scenes, 10), np.int64)
    shape[0, :7] = 1
    shape[1, :4] = 2
    np.savez(root / "metadata.npz", camera_pos=places, shape=shape)
    (root / "images").mkdir()
    for n in range(scenes):
        for k in range(3):
            Image.fromarray(np.full((24, 32, 3), 40 * n, np.uint8)).save(root / "images" / f"img_{n}_{k}.png")
    return root


def test_cameras_of_clevr3d_look_at_the_origin_with_a_level_horizon(tmp_path: Path) -> None:
    folder = clevr(tmp_path)
    scenes = clevr3d.table(folder)
    assert clevr3d.numbers(scenes, "train") == [1, 2], "seven objects are too many"
    capture = clevr3d.read_scene(scenes, 1)
    cameras = capture.cameras()
    assert torch.allclose(cameras.centres, torch.from_numpy(scenes.places[1]))
    pixels, _ = rays.project(cameras, torch.zeros(1, 3, dtype=torch.float64))
    assert torch.allclose(pixels[:, 0], torch.tensor([16.0, 12.0], dtype=torch.float64), atol=1e-6)
    assert cameras.c2w[:, 2, 0].abs().max().item() < 1e-9
    assert cameras.intrinsics[0, 0].item() == pytest.approx(35.0)
    assert formats.read([folder]).layout == "clevr3d"
    with pytest.raises(UserError, match="no such scene"):
        clevr3d.read_scene(scenes, 3)


def test_networks_learn_from_any_of_these_folders(tmp_path: Path) -> None:
    """Whatever lies there comes as square pictures of the training's size, seen by cameras that look at the origin."""
    chair = sample.capture(by_name("chairs"), 3, layout="srn-test", views=5, size=(24, 24))
    (tmp_path / "srn" / "a").mkdir(parents=True)
    srn.write(chair, tmp_path / "srn" / "a")
    (tmp_path / "abo").mkdir()
    item(tmp_path / "abo")
    (tmp_path / "clevr3d").mkdir()
    clevr(tmp_path / "clevr3d")
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes" / "corner.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    )
    for name, views in (("srn", 4), ("abo", 4), ("clevr3d", 3), ("meshes", 4)):
        found = as_views(of_folder(Folder(str(tmp_path / name), 16, views), 7), 7)
        assert found.rgb.shape == (views, 16, 16, 3)
        assert found.on_white == (name != "clevr3d")
        pixels, z = rays.project(found.cameras, torch.zeros(1, 3, dtype=torch.float64))
        assert torch.allclose(pixels, torch.full_like(pixels, 8.0), atol=0.6)
        assert bool((z > 0).all())
        if found.on_white:
            assert int(found.rgb[:, 0, 0].min()) > 245
            assert bool((found.mask > 200).any())
    only = as_views(of_folder(Folder(str(tmp_path / "srn"), 16, 251, "held-out", (3, 0)), 0), 0)
    assert torch.allclose(only.cameras.centres, chair.cameras().centres[[3, 0]], atol=1e-6)
    # A photo and one other view are asked for, by SRN's numbers; who has fewer views is judged from the first.
    fewer = as_views(of_folder(Folder(str(tmp_path / "srn"), 16, 251, "held-out", (64, 0)), 0), 0)
    assert torch.allclose(fewer.cameras.centres, chair.cameras().centres[[0, 3]], atol=1e-6)
    task = NerfDiffTask(
        Config(
            nerf=replace(NerfConfig(), unet=replace(NerfConfig().unet, widths=(16, 32), attention=(1,))),
            data=str(tmp_path / "abo"),
            held_out=str(tmp_path / "abo"),
            size=16,
            workers=0,
        )
    )
    assert task.validate(task.networks)["psnr"] > 0
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="holds no objects"):
        of_folder(Folder(str(tmp_path / "none"), 16, 4), 0)


def test_a_table_that_would_run_code_or_has_other_arrays_is_refused(tmp_path: Path) -> None:
    folder = clevr(tmp_path)
    np.savez(folder / "metadata.npz", camera_pos=np.array([{}], dtype=object), shape=np.zeros((1, 1)))
    with pytest.raises(UserError, match="cannot be read"):
        clevr3d.table(folder)
    np.savez(folder / "metadata.npz", camera_pos=np.zeros((2, 3)), shape=np.zeros((2, 1)))
    with pytest.raises(UserError, match="other arrays"):
        clevr3d.table(folder)
