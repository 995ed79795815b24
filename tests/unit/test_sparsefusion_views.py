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
from halfseen.data.capture import Capture, PictureArray, View
from halfseen.methods.sparsefusion import cropped, frame, inputs, orbit
from halfseen.methods.sparsefusion import samples as samples_of
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
