"""The small fixer, what it is shown, and the pairs that it learns from."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise, permutations

import pytest
import torch

from halfseen.cameras.cameras import Cameras, make
from halfseen.common.rng import generator
from halfseen.methods.difix3d import harm, inputs, pairs, training
from halfseen.methods.difix3d.fixers import load_fixer
from halfseen.metrics.edges import edges
from halfseen.metrics.image import psnr, ssim
from halfseen.poses import warping
from halfseen.priors.networks import fixer_small
from halfseen.priors.training import LoopConfig

TINY = fixer_small.Config(widths=(16, 32), blocks=1, heads=2)
FEW = pairs.PairsConfig(families=("chairs",), width=48, height=48, views=6, each=3)


def network(seed: int = 0) -> fixer_small.FixerSmall:
    """One whose output depends on all that it is shown: zero layers are filled."""
    torch.manual_seed(seed)
    net = fixer_small.FixerSmall(TINY).requires_grad_(requires_grad=False)
    for p in net.parameters():
        if float(p.abs().max()) == 0:
            torch.nn.init.normal_(p, std=0.05)
    return net


def looking(x: float, turned: float = 0.0, size: int = 32) -> Cameras:
    """A camera at (x, 0, 0) that looks along +z, turned about y."""
    c2w = torch.eye(4, dtype=torch.float64)
    c, s = math.cos(turned), math.sin(turned)
    c2w[:3, :3] = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float64)
    c2w[0, 3] = x
    return make(c2w[None], torch.tensor([[30.0, 30.0, size / 2, size / 2]], dtype=torch.float64), (size, size))


def test_an_untrained_fixer_changes_next_to_nothing_and_sizes_stay() -> None:
    net = fixer_small.FixerSmall(TINY)
    x = torch.rand(2, fixer_small.CHANNELS, 32, 48)
    with torch.no_grad():
        out, error = net(x, torch.rand(2, 1, 3, 16, 16))
    assert out.shape == (2, 3, 32, 48)
    assert error.shape == (2, 1, 32, 48)
    assert float((out - x[:, :3]).abs().max()) < 0.1


def test_any_number_of_references_and_their_order_does_not_matter() -> None:
    net, x = network(), torch.rand(1, fixer_small.CHANNELS, 32, 32)
    photos = torch.rand(1, 3, 3, 32, 48)
    outs = [net(x, photos[:, :count])[0] for count in range(4)]
    assert all(float((a - b).abs().max()) > 1e-6 for a, b in pairwise(outs)), "each is looked at"
    assert torch.allclose(outs[3], net(x, photos[:, [2, 0, 1]])[0], atol=1e-5)


def test_a_picture_that_goes_without_its_photo_is_as_if_there_were_none() -> None:
    net = network()
    x, photos = torch.rand(2, fixer_small.CHANNELS, 32, 32), torch.rand(2, 1, 3, 32, 32)
    out = net(x, photos, torch.tensor([0.0, 1.0]))[0]
    assert torch.allclose(out[0], net(x[:1], photos[:1, :0])[0][0], atol=1e-5)
    assert torch.allclose(out[1], net(x[1:], photos[1:])[0][0], atol=1e-5)


def test_a_borrowed_photo_is_where_depth_says_and_nothing_hidden_is_trusted() -> None:
    """A striped wall 4 units away: moved by one unit, it shifts by 30 / 4 pixels."""
    here, there = looking(0.0), looking(1.0)
    stripes = torch.rand(32, generator=generator(0, "stripes"))[None, :, None].expand(32, 32, 3)
    wall = torch.full((32, 32), 4.0)
    rgb, trusted = warping.borrow(stripes, there, wall, here, wall)
    # The pixel at x here is at x - 7.5 there.
    wanted = (stripes[:, :24] + stripes[:, 1:25]) / 2
    assert torch.allclose(rgb[:, 8:], wanted, atol=1e-5)
    assert trusted[:, 8:].all()
    assert not trusted[:, :7].any()
    assert float(rgb[:, :7].abs().max()) == 0
    # Something nearer stands before it as seen from there.
    _, hidden = warping.borrow(stripes, there, torch.full((32, 32), 2.0), here, wall)
    assert not hidden.any()
    _, nothing = warping.borrow(stripes, there, wall, here, torch.zeros(32, 32))
    assert not nothing.any()


def test_distances_of_cameras_have_no_holes() -> None:
    a, b = looking(0.0), looking(3.0, math.pi / 2)
    assert float(warping.distance(a, b, 2.0)) == pytest.approx(1.5 + math.pi / 2, abs=1e-6)
    # Equal rotations whose cosine rounds above one.
    for i in range(200):
        one = looking(0.0, 0.1 * i)
        assert float(warping.distance(one, one, 1.0)) == pytest.approx(0, abs=1e-6)


def test_pairs_follow_from_their_number_and_teach_something() -> None:
    first, again = pairs.make(FEW, "train", 5), pairs.make(FEW, "train", 5)
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a.shown, b.shown)
        assert torch.equal(a.target, b.target)
        assert torch.equal(a.references, b.references)
    assert not torch.equal(first[0].shown, first[1].shown)
    other = pairs.make(FEW, "validation", 5)
    assert not torch.equal(first[0].target, other[0].target)
    for p in first:
        shown, target = pairs.unpacked(p.shown), p.target.float() / 255
        assert shown.shape == (fixer_small.CHANNELS, 48, 48)
        error = float((shown[:3] - target).square().mean())
        assert 10**-3.5 < error < 0.2
        trusted = shown[9] > 0.5
        # What is borrowed is right more often than not: closer to the truth than the rendering's colours are on the whole.
        if int(trusted.sum()) > 50:
            assert float((shown[6:9] - target)[:, trusted].abs().mean()) < 0.25


def test_the_shipped_fixer_betters_worlds_that_it_never_saw() -> None:
    """PSNR and SSIM of harmed pairs, against leaving them as they are."""
    config = pairs.PairsConfig(families=("chairs", "rooms", "cars", "tabletop"), width=96, height=96, views=8, each=4)
    fixer, before, after = load_fixer("fixer", torch.device("cpu")), [], []
    for number in range(4):
        for pair in pairs.make(config, "validation", 1000 + number):
            shown, truth = pairs.unpacked(pair.shown), pair.target.movedim(0, -1) / 255
            fixed = fixer(shown, list(pair.references / 255)).rgb.movedim(0, -1).clamp(0, 1)
            for found, picture in ((before, shown[:3].movedim(0, -1)), (after, fixed)):
                found.append((psnr(picture, truth), ssim(picture, truth)))
    gained = torch.tensor(after) - torch.tensor(before)
    assert float(gained[:, 0].mean()) > 1, gained
    assert float(gained[:, 1].mean()) > 0.02, gained


def test_without_harm_splats_show_the_photos() -> None:
    none = harm.Harm(depth=0, place=0, radius=0, colour=0, lost=0, thin=0, floaters=0, stops=0)
    room = replace(FEW, families=("rooms",), width=96, height=64)
    mild, worse = pairs.make(replace(room, harm=none), "train", 2), pairs.make(room, "train", 2)

    def error(made: list[pairs.Pair]) -> float:
        seen = [pairs.unpacked(p.shown) for p in made]
        parts = [(s[:3] - p.target / 255)[:, s[5] > 0.5].abs().mean() for s, p in zip(seen, made, strict=True)]
        return float(torch.stack(parts).nanmean())

    assert error(mild) < 0.1
    assert error(worse) > 1.2 * error(mild)


def test_the_input_says_what_is_there() -> None:
    """Disparity is half where depth is the median, and nothing where nothing is."""
    depth = torch.tensor([[1.0, 2.0, 4.0], [2.0, 2.0, 0.0]])
    alpha = (depth > 0).float()
    wanted = torch.tensor([[1.0, 0.5, 0.25], [0.5, 0.5, 0.0]])
    assert torch.allclose(inputs.disparity(depth, alpha), wanted)
    assert float(inputs.disparity(depth, torch.zeros(2, 3)).abs().max()) == 0


def test_a_step_of_training_follows_from_its_position_and_lowers_the_loss() -> None:
    cfg = training.Config(
        network=TINY, loop=LoopConfig(steps=4, batch=4), pairs=FEW, window=2, reuse=2, workers=0, side=32
    )
    task, twin = training.FixerTask(cfg), training.FixerTask(cfg)
    batch, same = task.batch(range(8, 12)), twin.batch(range(8, 12))
    assert all(torch.equal(batch[k], same[k]) for k in batch)
    net = task.networks["fixer"]
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    found = []
    for _ in range(12):
        terms = task.loss(task.networks, batch)
        optimiser.zero_grad()
        terms["loss"].backward()
        optimiser.step()
        found.append(float(terms["colour"].detach()))
    assert found[-1] < 0.95 * found[0]
    blurred = torch.nn.functional.avg_pool2d(same["target"].float() / 255, 5, 1, 2)
    assert float(edges(blurred, same["target"].float() / 255)) > 0


def test_a_photo_that_is_trusted_can_be_handed_on_as_it_is() -> None:
    net = network()
    with torch.no_grad():
        net.head.weight.zero_()
        net.head.bias.zero_()
        net.head.bias[-(fixer_small.BLOCK**2) :] = 50.0
    x = torch.rand(1, fixer_small.CHANNELS, 32, 32, generator=generator(0, "x"))
    x[:, fixer_small.TRUSTED] = (x[:, fixer_small.TRUSTED] > 0.5).float()
    out = net(x, torch.zeros(1, 0, 3, 32, 32))[0]
    wanted = torch.where(x[:, fixer_small.TRUSTED] > 0, x[:, fixer_small.BORROWED], x[:, :3])
    assert torch.allclose(out, wanted, atol=1e-5)


def test_colours_change_places_everywhere_alike() -> None:
    plain, other = (
        training.FixerTask(training.Config(network=TINY, pairs=FEW, window=2, workers=0, side=32, recoloured=share))
        for share in (0.0, 1.0)
    )
    before, after = plain.batch(range(12)), other.batch(range(12))
    orders = set()
    for i in range(12):
        found = [
            order
            for order in permutations(range(3))
            if torch.equal(before["target"][i][list(order)], after["target"][i])
            and torch.equal(before["shown"][i][list(order)], after["shown"][i][:3])
            and torch.equal(
                before["shown"][i][fixer_small.BORROWED][list(order)], after["shown"][i][fixer_small.BORROWED]
            )
            and torch.equal(before["references"][i][:, list(order)], after["references"][i])
        ]
        assert found
        orders.add(found[0])
        assert torch.equal(before["shown"][i][3:6], after["shown"][i][3:6])
    assert len(orders) > 1


def test_held_out_pairs_are_judged_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_HELD_WORLDS", 2)
    monkeypatch.setattr(training, "_SHOWN", 4)
    task = training.FixerTask(training.Config(network=TINY, pairs=FEW, workers=0, side=32))
    net = task.networks["fixer"]
    torch.nn.init.zeros_(net.head.weight)
    with torch.no_grad():
        # The share that is borrowed is the last of its planes.
        net.head.bias[-(fixer_small.BLOCK**2) :] = -50.0
        found, sheet = task.validate(task.networks), task.sheet(task.networks)
    # Two worlds of three pairs; what changes nothing gains nothing.
    assert found["psnr_after"] == pytest.approx(found["psnr_before"], abs=1e-3)
    assert found["psnr_alone"] == pytest.approx(found["psnr_before"], abs=1e-3)
    assert found["gain_seen"] == pytest.approx(0, abs=1e-3)
    assert found["gain_invented"] == pytest.approx(0, abs=1e-3)
    assert sheet.shape[0] == 4 * 48
    assert sheet.shape[2] == 3
