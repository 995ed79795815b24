"""What of photos SparseFusion's networks are shown: windows, lengths, middles, and where an orbit stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from halfseen.cameras import paths, rays
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.data import co3d, co3d_write
from halfseen.data.capture import Capture, PictureArray, View
from halfseen.methods.sparsefusion import cropped, data_sets, eft, frame, inputs, orbit
from halfseen.methods.sparsefusion import samples as samples_of
from halfseen.methods.sparsefusion.training import SparseFusionTask
from halfseen.methods.sparsefusion.training_config import Config as TrainingConfig
from halfseen.priors.networks import autoencoder, pyramid
from halfseen.worlds import sample
from halfseen.worlds.families import by_name
from halfseen.worlds.objects import Order, as_views, of_world

UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
EYES = ((2.0, 0.0, 0.5), (1.5, 1.5, 0.3), (0.2, 2.1, 0.9), (-2.0, 0.4, 0.1))


def poses(count: int = 4) -> Tensor:
    eye = torch.tensor(EYES[:count], dtype=torch.float64)
    return paths.look_at(eye, torch.zeros_like(eye), UP)


def test_windows_show_what_their_cameras_see() -> None:
    """A point's colour is where the window's intrinsics project it, whatever the window."""
    views = as_views(of_world(Order(("cars",), 48, 3, "hemisphere", "validation"), 0), 0)
    rgb, mask = cropped.on_black(views, [0, 1, 2])
    crop = cropped.shaken(cropped.around(mask), 0.2, generator(0, "shake"))
    assert bool((crop.side < 1.6).all())
    size = 96
    shown = cropped.cut(rgb, crop, size)
    lens = cropped.lenses(views.cameras, crop)
    assert views.depth is not None
    for v in range(3):
        solid = (mask[v, 0] > 0.99).nonzero()[::40].flip(-1)
        ray = rays.cast(views.cameras, torch.full((len(solid),), v), solid.double() + 0.5)
        world = ray.at_depth(views.depth[v].double()[solid[:, 1], solid[:, 0]])
        local = (world - views.cameras.c2w[v, :3, 3]) @ views.cameras.c2w[v, :3, :3]
        at = (local[:, :2] / local[:, 2:]).float() * lens[v, :2] + lens[v, 2:]
        found = torch.nn.functional.grid_sample(shown[v : v + 1], 2 * at[None, None] - 1, align_corners=False)
        wanted = rgb[v][:, solid[:, 1], solid[:, 0]]
        inside = ((at > 0) & (at < 1)).all(-1)
        assert int(inside.sum()) > 3
        assert float((found[0, :, 0] - wanted)[:, inside].abs().mean()) < 0.03


def test_a_window_is_a_third_larger_than_what_it_holds() -> None:
    mask = torch.zeros(2, 1, 20, 40)  # half as high as wide
    mask[0, 0, 5:11, 10:18] = 1
    crop = cropped.around(mask)
    assert crop.middle[0].tolist() == pytest.approx([14 / 40, 8 / 20])
    # Eight pixels wide and six high: a square of 1.3 times eight.
    assert crop.side[0].tolist() == pytest.approx([1.3 * 8 / 40, 1.3 * 8 / 20])
    # Nothing is there: the whole picture.
    assert (crop.middle[1].tolist(), crop.side[1].tolist()) == ([0.5, 0.5], [1.0, 2.0])


def test_colours_over_black_are_those_that_were_over_white() -> None:
    colour, alpha = torch.tensor([0.2, 0.4, 0.6]), torch.tensor([[0.0, 0.5], [1.0, 0.25]])
    white = colour * alpha[..., None] + 1 - alpha[..., None]
    made = as_views(of_world(Order(("cars",), 16, 1, "hemisphere", "validation"), 0), 0)
    views = replace(made, rgb=(white * 255 + 0.5).byte()[None], mask=(alpha * 255 + 0.5).byte()[None])
    rgb, mask = cropped.on_black(views, [0])
    torch.testing.assert_close(rgb[0], (colour * alpha[..., None]).movedim(-1, 0), atol=0.006, rtol=0)
    torch.testing.assert_close(mask[0, 0], alpha, atol=0.003, rtol=0)


def test_windows_are_put_back_where_they_were_cut() -> None:
    """A smooth picture, twice as wide as high: inside its window it is what it was, beyond it nothing; and a camera's window is the photos'."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 40), torch.linspace(0, 1, 80), indexing="ij")
    picture = torch.stack([x, y, x * y])[None]
    crop = cropped.Crop(torch.tensor([[0.4, 0.5]]), torch.tensor([[0.3, 0.6]]))
    back = cropped.put(cropped.cut(picture, crop, 48), crop, 80, 40)
    inside = torch.zeros(40, 80, dtype=torch.bool)
    inside[8:32, 20:44] = True
    assert not back[0, :, ~inside].any()
    torch.testing.assert_close(back[0, :, inside], picture[0, :, inside], atol=0.02, rtol=0)
    made = as_views(of_world(Order(("chairs",), 48, 3, "hemisphere", "validation"), 0), 0)
    wide = made.cameras[0].resized(96, 48)
    found = frame.window(wide, torch.zeros(3, dtype=torch.float64), 0.5)
    away, lens = made.cameras.centres[0].norm(), cropped.lenses(wide, found)[0]
    assert found.middle[0].tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    # Half of what it sees at the middle is half a unit.
    assert (away / (2 * lens[:2])).tolist() == pytest.approx([0.5, 0.5], rel=1e-3)


def test_the_middle_is_where_rays_through_windows_meet() -> None:
    """Cameras that look past a point, and windows that have it in their middles; one photo alone leaves its depth to the origin."""
    point = torch.tensor([0.2, -0.3, 0.15], dtype=torch.float64)
    c2w = poses(3).double()
    local = (c2w[:, :3, :3].transpose(1, 2) @ (point - c2w[:, :3, 3])[..., None])[..., 0]
    focal = torch.full((3, 2), 1.7, dtype=torch.float64)
    lens = torch.cat([focal, 0.5 - focal * local[:, :2] / local[:, 2:]], -1)
    torch.testing.assert_close(frame.middle(c2w, lens), point, atol=1e-3, rtol=0)
    alone = frame.middle(c2w[:1], lens[:1])
    ray = torch.nn.functional.normalize(point - c2w[0, :3, 3], dim=0)
    nearest = c2w[0, :3, 3] - (c2w[0, :3, 3] @ ray) * ray
    torch.testing.assert_close(alone, nearest, atol=1e-3, rtol=0)
    # Lengths: what a window sees half of at the middle.
    torch.testing.assert_close(frame.half(c2w, lens, point), float((local[:, 2] / 3.4).mean()))


def test_an_orbit_looks_at_the_middle_from_as_far_away_as_the_photos() -> None:
    c2w, middle = poses(3), torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)
    moved = c2w.double().clone()
    moved[:, :3, 3] += middle
    found = orbit.around(moved, middle, 12, 0.17, 0)
    eyes = found[:, :3, 3] - middle
    away = c2w[:, :3, 3].norm(dim=-1).mean()
    torch.testing.assert_close(eyes.norm(dim=-1), away.expand(12))
    torch.testing.assert_close(torch.nn.functional.normalize(-eyes, dim=-1), found[:, :3, 2])
    level = torch.asin(c2w[:, 2, 3] / c2w[:, :3, 3].norm(dim=-1)).mean()
    off = (torch.asin(eyes[:, 2] / away) - level).abs()
    assert bool((off <= 0.17 + 1e-9).all())
    assert float(off.max()) > 0.08
    # All around, and none twice.
    apart = torch.cdist(eyes, eyes) + 9 * torch.eye(12)
    assert float(apart.min()) > 0.5


def test_photos_are_shown_as_training_shows_them() -> None:
    """A capture's own photos, cropped: the same pictures and queries as a sample of the same object has."""
    size, rng = 24, generator(0, "none")
    made = as_views(of_world(Order(("chairs",), 48, 3, "hemisphere", "validation"), 0), 0)
    sample = samples_of.asked(made, [2], [0, 1], size, 0.0, rng)
    shown = [PictureArray(made.rgb[i].float() / 255) for i in range(2)]
    masks = [PictureArray(made.mask[i].float() / 255) for i in range(2)]
    views = tuple(View(str(i), shown[i], made.cameras[i], mask=masks[i]) for i in range(2))
    capture = Capture(views, "made", Path(), mask_role="object", background=(1.0, 1.0, 1.0), on_background=True)
    found = inputs.of(capture, size, torch.device("cpu"))
    torch.testing.assert_close(found.photos, sample.photos[0], atol=1e-6, rtol=0)
    crop = cropped.around(cropped.on_black(made, [2])[1])
    asked_for = inputs.query(found, made.cameras.c2w[2:], cropped.lenses(made.cameras[2], crop))
    for key, value in vars(sample.query).items():
        torch.testing.assert_close(getattr(asked_for, key), value, atol=1e-5, rtol=0)
    bare = Capture((replace(views[0], mask=None),), "made", Path())
    with pytest.raises(UserError, match="does not say what is the object"):
        inputs.of(bare, size, torch.device("cpu"))


@pytest.fixture(scope="module")
def co3d_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two categories of cars: three sequences of twelve frames of two sizes, a short one, and set lists for the second."""
    root = tmp_path_factory.mktemp("co3d")
    for category, lists in (("car", False), ("van", True)):
        frames = []
        for number, (views, size) in enumerate(((12, (48, 36)), (11, (30, 44)), (12, (40, 40)), (6, (40, 40)))):
            made = sample.capture(by_name("cars"), number, layout="hemisphere", views=views, size=size)
            frames += co3d_write.write_sequence(made, root, category, f"seq{number}")
        entries = {
            n: [co3d_write.entry(f) for f in frames if f["sequence_name"] == n] for n in ("seq0", "seq2", "seq3")
        }
        sets = {
            "fewview_train": {"train": entries["seq0"] + entries["seq3"]},
            "fewview_dev": {"test": entries["seq2"]},
        }
        co3d_write.write_annotations(root, category, frames, sets if lists else None)
    return root


def test_sequences_of_co3d_are_learned_from_as_their_lists_say(
    co3d_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short ones are left out; what set lists name is trained on, and what they hold out is not; all sizes come in one."""
    lists = {p: [(f.name, n) for f, n in data_sets._listed(str(co3d_root), p)] for p in ("train", "held-out")}
    assert lists["train"] == [("van", "seq0"), ("car", "seq0"), ("car", "seq1"), ("car", "seq2")]
    assert lists["held-out"] == [("van", "seq2")]
    order = data_sets.Sequences(str(co3d_root / "van"), 32, 14, 1.3)
    views = as_views(data_sets.of_sequence(order, 0), 0)
    assert views.rgb.shape == (14, 32, 32, 3), "short of views, some are there twice"
    assert views.known is not None
    with pytest.raises(UserError, match="holds no sequences"):
        data_sets._listed(str(co3d_root / "van" / "seq0"), "train")
    with monkeypatch.context() as fewer:
        # Without lists, every second of all sequences.
        fewer.setattr(data_sets, "_EVERY", 2)
        for purpose, wanted in (("train", ["seq0", "seq2"]), ("held-out", ["seq1"])):
            assert [n for _, n in data_sets._listed.__wrapped__(str(co3d_root / "car"), purpose)] == wanted


def test_photos_of_co3d_are_where_their_cameras_see_them(co3d_root: Path) -> None:
    """The colour of a pixel of the photo is found where the window's camera sees the same ray; beyond the photo nothing is known."""
    order = data_sets.Sequences(str(co3d_root / "car"), 64, 3, 1.6)
    views = as_views(data_sets.of_sequence(order, 1), 1)
    capture = co3d.read_sequence(co3d.annotated(co3d_root / "car"), "seq1")
    chosen = torch.randperm(len(capture), generator=generator(0, "sparsefusion/views", 1))[:3].tolist()
    assert views.known is not None
    for k, i in enumerate(chosen):
        photo, camera, mask = capture.views[i].image.read()[..., :3], capture.views[i].camera, capture.views[i].mask
        assert camera is not None
        assert mask is not None
        torch.testing.assert_close(views.cameras.c2w[k], camera.c2w[0])
        solid = (mask.read_grey() > 0.99).nonzero()[::11].flip(-1)
        ray = rays.cast(camera, torch.zeros(len(solid), dtype=torch.long), solid.double() + 0.5)
        pixels, _ = rays.project(views.cameras[k], ray.origins + 2 * ray.directions)
        at = 2 * pixels[0] / 64 - 1
        window = (views.rgb[k].float() / 255).movedim(-1, 0)[None]
        found = torch.nn.functional.grid_sample(window, at[None, None].float(), align_corners=False)[0, :, 0].T
        wanted = photo[solid[:, 1], solid[:, 0]]
        # Twice interpolated, edges are blurred.
        assert float((found - wanted).abs().median()) < 0.02
        # The object's window of 1.3 x 1.6 reaches beyond these narrow photos.
        assert 0.2 < float((views.known[k] > 0).float().mean()) < 1
        assert not views.mask[k][views.known[k] == 0].any()


def test_both_networks_learn_from_co3d(co3d_root: Path) -> None:
    task = SparseFusionTask(
        TrainingConfig(
            eft=replace(
                eft.Config(), encoder=pyramid.Config(widths=(16, 32), project=16), layers=1, feedforward=16, depths=5
            ),
            data=str(co3d_root), stage="eft", size=16, rendered=24, views=4, window=1, workers=0, most=2,
        )
    )  # fmt: skip
    task._autoencoder = autoencoder.Autoencoder(autoencoder.Config(widths=(16, 32), blocks=1))
    batch = task.batch(range(2))
    assert float(batch["valid"].min()) < 0.5, "crops reach beyond photos"
    loss = task.loss(task.networks, batch)["loss"]
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert any(p.grad is not None and bool(p.grad.any()) for p in task.networks["eft"].parameters())
    assert "psnr_eft" in task.validate(task.networks)
    task.close()
