"""SparseFusion's parts: what falls where along epipolar lines, and the transformer over it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from halfseen.cameras import cameras as cams
from halfseen.cameras import paths, rays
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.methods.sparsefusion import eft, epipolar
from halfseen.methods.sparsefusion.epipolar import Query
from halfseen.priors.networks import pyramid

SMALL = replace(eft.Config(), encoder=pyramid.Config(widths=(16, 32)), width=16, layers=1, feedforward=16, depths=5)
UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
EYES = ((2.0, 0.0, 0.5), (1.5, 1.5, 0.3), (0.2, 2.1, 0.9), (-2.0, 0.4, 0.1))


def poses(count: int = 4) -> Tensor:
    eye = torch.tensor(EYES[:count], dtype=torch.float64)
    return paths.look_at(eye, torch.zeros_like(eye), UP)


def asked(query: int, photos: list[int]) -> Query:
    """A query and photos of one focal length, 1.3 picture sides."""
    c2w = poses()
    relative = (c2w[query].inverse() @ c2w[photos]).float()[None]
    lens = torch.tensor([1.3, 1.3, 0.5, 0.5])
    return Query(lens[None], relative, lens.expand(1, len(photos), 4), torch.tensor([[1.0, 3.0]]))


def test_samples_fall_where_cameras_project_them() -> None:
    """In the query's frame as in the world's, by the cameras that everything else uses."""
    query = asked(0, [1, 2])
    found = epipolar.samples(query, 3, 4, 5)
    torch.testing.assert_close(found.depth[0], torch.tensor([1.0, 1.5, 2.0, 2.5, 3.0]))
    camera = cams.make(poses(1), (1.3 * 40, 1.3 * 30, 20.0, 15.0), (40, 30)).to(torch.float64)
    others = cams.Cameras(poses()[[1, 2]], camera.intrinsics.expand(2, -1), camera.sizes.expand(2, -1))
    # Cell (2, 1) of 4 x 3, in a picture of 40 x 30.
    ray = rays.cast(camera, torch.zeros(1, dtype=torch.long), torch.tensor([[25.0, 15.0]], dtype=torch.float64))
    for d in range(5):
        world = ray.at_depth(found.depth[0, d : d + 1].double())
        pixels, z = rays.project(others, world)
        wanted = 2 * pixels[:, 0] / torch.tensor([40.0, 30.0]) - 1
        torch.testing.assert_close(found.at[0, :, 4 + 2, d].double(), wanted, atol=1e-5, rtol=0)
        assert bool((z > 0).all())
        assert bool(found.before[0, :, 4 + 2, d].all())


def test_what_is_behind_a_photos_camera_is_not_seen() -> None:
    """A photo from the other side, whose camera looks away from the query's first samples."""
    c2w = torch.eye(4).expand(1, 1, 4, 4).clone()
    c2w[0, 0, 2, 3] = 2.0
    lens = torch.tensor([1.3, 1.3, 0.5, 0.5])
    query = Query(lens[None], c2w, lens.expand(1, 1, 4), torch.tensor([[1.0, 3.0]]))
    where = epipolar.samples(query, 1, 1, 5)
    assert where.before[0, 0, 0].tolist() == [False, False, False, True, True]
    maps = torch.ones(1, 1, 2, 8, 8)
    assert epipolar.found(maps, where)[0, 0, 0, :, 0].tolist() == [0, 0, 0, 1, 1]


def test_lines_are_those_through_the_samples() -> None:
    query = asked(0, [1])
    where = epipolar.samples(query, 2, 2, 3)
    lines = epipolar.photo_lines(query, where.xyz)
    direction, moment = lines[0, 0, ..., :3], lines[0, 0, ..., 3:]
    torch.testing.assert_close(torch.linalg.cross(where.xyz[0], direction), moment, atol=1e-5, rtol=0)
    assert not epipolar.query_lines(where)[..., 3:].any()


def test_the_papers_tokens_have_the_papers_sizes() -> None:
    assert eft.PAPER.inputs == (606, 425, 412)
    with torch.device("meta"):
        net = eft.Eft(eft.PAPER)
    parts = [
        sum(p.numel() for p in part.parameters()) / 1e6 for part in (net.over_photos, net.along_rays, net.over_views)
    ]
    assert parts == pytest.approx([1.74, 1.69, 1.69], abs=0.01)
    assert sum(p.numel() for p in net.encoder.parameters()) / 1e6 == pytest.approx(2.78, abs=0.01)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_order_of_photos_makes_no_difference(count: int) -> None:
    torch.manual_seed(0)
    net = eft.Eft(SMALL).eval()
    photos = torch.rand(1, count, 3, 16, 16, generator=generator(0, "photos"))
    order = list(range(count))[::-1]
    query = asked(0, [1, 2, 3][:count])
    turned = replace(
        query, photo_to_query=query.photo_to_query[:, order], photo_intrinsics=query.photo_intrinsics[:, order]
    )
    with torch.no_grad():
        rgb, features = net(photos, query, 4, 6)
        other, found = net(photos[:, order], turned, 4, 6)
    assert rgb.shape == (1, 3, 4, 6)
    assert features.shape == (1, SMALL.width, 4, 6)
    torch.testing.assert_close(other, rgb, atol=1e-5, rtol=0)
    torch.testing.assert_close(found, features, atol=1e-4, rtol=0)


def test_queries_of_a_batch_do_not_know_each_other() -> None:
    torch.manual_seed(0)
    net = eft.Eft(SMALL).eval()
    photos = torch.rand(2, 2, 3, 16, 16, generator=generator(0, "photos"))
    single = [asked(0, [1, 2]), asked(3, [0, 1])]
    both = Query(*(torch.cat([getattr(q, k) for q in single]) for k in vars(single[0])))
    with torch.no_grad():
        together = net(photos, both, 4, 4)[0]
        alone = torch.cat([net(photos[i : i + 1], q, 4, 4)[0] for i, q in enumerate(single)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_it_learns_to_copy_what_a_photo_shows() -> None:
    """A flat picture at a known depth before two cameras beside each other: its colours in the query are those of the photo, shifted."""
    torch.manual_seed(0)
    net = eft.Eft(SMALL)
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    c2w = torch.eye(4).expand(4, 1, 4, 4).clone()
    c2w[:, 0, 0, 3] = 0.25
    lens = torch.tensor([1.0, 1.0, 0.5, 0.5])
    query = Query(lens.expand(4, 4), c2w, lens.expand(4, 1, 4), torch.tensor([[1.0, 3.0]]).expand(4, 2))
    losses = []
    for step in range(120):
        # At depth 2, a quarter of a unit to the side is an eighth of a picture: 2 of 16 pixels.
        coarse = torch.rand(4, 3, 4, 5, generator=generator(step, "flat"))
        wide = torch.nn.functional.interpolate(coarse, (16, 20), mode="bilinear")
        photo, truth = wide[..., 2:18], wide[..., :16]
        rgb, _ = net(photo[:, None], query, 16, 16)
        loss = (rgb[..., 3:] - truth[..., 3:]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    # Guessing the mean leaves 0.045 of the variance of these colours; what is copied leaves 0.4 of that by now.
    assert sum(losses[-10:]) / 10 < 0.5 * sum(losses[:5]) / 5


def test_weights_of_torchvision_are_taken_by_their_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, other = pyramid.ResNet(), pyramid.ResNet()
    stored = {**net.state_dict(), "fc.weight": torch.zeros(2, 2), "layer4.0.conv1.weight": torch.zeros(1)}
    torch.save(stored, tmp_path / "resnet18.pth")
    pyramid.load_resnet(other, tmp_path / "resnet18.pth")
    photos = torch.rand(2, 3, 32, 32, generator=generator(0, "photos"))
    found = other.train()(photos)
    assert found.shape == (2, 512, 16, 16)
    torch.testing.assert_close(found, net.eval()(photos))
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"is no ResNet-18"):
        pyramid.load_resnet(other, tmp_path / "other.pth")
