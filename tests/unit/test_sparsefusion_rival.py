"""PixelNeRF of a few photos: where its rays go, where their samples fall, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.cameras.similarity import Similarity
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.data import protocols
from halfseen.data.capture import Capture
from halfseen.fields import projection
from halfseen.fields.samplers import Sampling
from halfseen.methods.sparsefusion import cropped, inputs, predicting, rival, samples
from halfseen.methods.sparsefusion.config import VARIANTS
from halfseen.methods.sparsefusion.networks import RIVAL, ROLE, stored
from halfseen.methods.sparsefusion.training import PIXELNERF_VIEWS
from halfseen.methods.sparsefusion.training_config import Config as Trained
from halfseen.priors import weights
from halfseen.priors.networks import unet
from halfseen.worlds import objects, sample
from halfseen.worlds.families import by_name

SMALL = rival.Config(
    unet=unet.Config(inside=5, outside=16, widths=(16, 32), blocks=1, block=2, attention=(1,), heads=2),
    layers=projection.Layers(octaves=3, width=32, blocks=2),
    sampling=Sampling("proposed", uniform=24, resampled=16),
)
SIZE = 32


@pytest.fixture(scope="module")
def chair() -> Capture:
    return sample.capture(by_name("chairs"), 3, layout="hemisphere", views=5, size=(48, 48))


def views_of(capture: Capture) -> objects.Views:
    """The pictures of a capture as training has them."""
    rgb = torch.stack([(v.image.read()[..., :3] * 255 + 0.5).to(torch.uint8) for v in capture.views])
    mask = torch.stack([(v.mask.read_grey() * 255 + 0.5).to(torch.uint8) for v in capture.views if v.mask])
    return objects.Views(rgb, mask, capture.cameras(), None, on_white=True)


def asked(capture: Capture) -> samples.Asked:
    """Two queries with three photos, all of them cropped off their middles."""
    return samples.asked(views_of(capture), [0, 1], [2, 3, 4], SIZE, 0.3, generator(0, "crops"))


def test_rays_and_photos_are_where_the_cameras_of_the_world_have_them(chair: Capture) -> None:
    """A point on a query's ray falls on each photo's window where the world's own cameras project it."""
    found = asked(chair)
    into, pinhole, _ = rival.placed(found.query)
    spot = torch.tensor([[[0.3, 0.6]], [[0.7, 0.45]]])
    origins, directions = rival.rays_of(found.query, spot)
    # The same crops again, as cameras of whole windows in the world.
    _, mask = cropped.on_black(views_of(chair), [0, 1, 2, 3, 4])
    crop = cropped.shaken(cropped.around(mask), 0.3, generator(0, "crops"))
    lens = cropped.lenses(chair.cameras(), crop)
    windows = Cameras(chair.cameras().c2w.double(), lens.double(), torch.ones(5, 2, dtype=torch.long))
    for i in range(2):
        ray = rays.cast(windows, torch.tensor([i]), spot[i].double())
        # Lengths there are in others than here: one is had from the distance between two photos' cameras.
        centres = windows.centres[[2, 3]]
        eyes = [_back(into[i, k], pinhole[i, k, :3]) for k in (0, 1)]
        scale = float((centres[0] - centres[1]).norm() / (eyes[0] - eyes[1]).norm())
        for far in (0.9, 1.1):
            away = far * float(windows.centres[i].norm())
            world = ray.origins + away * ray.directions
            there = (origins[i] + away / scale * directions[i])[None]
            at = there @ into[i, ..., :3].transpose(-1, -2) + into[i, :, None, :, 3]
            steps = torch.arange(float(SIZE)) + 0.5
            maps = torch.stack(torch.meshgrid(steps, steps, indexing="xy"))[None].expand(3, -1, -1, -1) / SIZE
            seen = projection.seen_at(maps, at, pinhole[i])[:, 0]
            others = Cameras(windows.c2w[2:], windows.intrinsics[2:], windows.sizes[2:])
            pixels, _ = rays.project(others, world)
            edge = 0.5 / SIZE
            torch.testing.assert_close(seen.double(), pixels[:, 0].clamp(edge, 1 - edge), atol=2e-4, rtol=0)


def _back(into: Tensor, at: Tensor) -> Tensor:
    """From a photo's frame to that of the field."""
    return into[:, :3].T @ (at - into[:, 3])


def test_a_mirror_turns_everything(chair: Capture) -> None:
    found = asked(chair)
    turned = samples.mirrored(found)
    spot = torch.tensor([[[0.3, 0.6]], [[0.7, 0.45]]])
    flipped = spot * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    (o, d), (p, e) = rival.rays_of(found.query, spot), rival.rays_of(turned.query, flipped)
    # The frame is the first photo's camera's, whose x is turned as well.
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(p, o * mirror, atol=1e-5, rtol=0)
    torch.testing.assert_close(e, d * mirror, atol=1e-5, rtol=0)


def test_it_learns_one_object(chair: Capture) -> None:
    torch.manual_seed(0)
    net = rival.PhotosToField(SMALL, 0)
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    found = asked(chair)
    nothing = float(found.target.square().mean())
    for step in range(150):
        loss = rival.loss(net, found, generator(step, "rays"))
        optimiser.zero_grad()
        loss["loss"].backward()
        optimiser.step()
    with torch.no_grad():
        shown = rival.pictures(net, found)
    assert float((shown - found.target).square().mean()) < 0.25 * nothing


def test_the_predicted_field_is_what_training_saw(chair: Capture, tmp_path: Path) -> None:
    """A published network, a capture, and cameras of the box: the same pictures as through the frames of training."""
    config = replace(Trained(), stage="pixelnerf", rival=SMALL, size=SIZE)
    torch.manual_seed(0)
    net = rival.PhotosToField(SMALL, 0)
    torch.nn.init.normal_(net.unet.head.weight, std=0.3)
    torch.nn.init.normal_(net.layers["head_weight"], std=0.5)
    values = {f"rival.{k}": v.detach() for k, v in net.state_dict().items()}
    weights.save(tmp_path / "p", values, {"recipe": "r", "role": ROLE, "config": _plain(config)}, "card")
    cfg = replace(VARIANTS["pixelnerf"], prior=str(tmp_path / "p"))
    cfg = replace(cfg, projection=predicting.field_config(config, 3))
    photos = chair.select([2, 3, 4])
    field = predicting.predicted(photos, Similarity.identity(), cfg, torch.device("cpu"))
    seen = inputs.of(photos, SIZE, torch.device("cpu"))
    pose = chair.cameras().c2w[:1].double()
    query = inputs.query(seen, pose, seen.lens[None])
    nothing = torch.zeros(1, 3, SIZE, SIZE)
    one = samples.Asked(query, seen.photos[None], nothing, nothing[:, :1], nothing[:, :1])
    camera = inputs.cameras(pose, seen.lens, SIZE).to(torch.float32)
    with torch.no_grad():
        wanted = rival.pictures(_half(net), one)[0].movedim(0, -1)
        shown = field.render(camera, background=(0.0, 0.0, 0.0)).rgb
    assert float(wanted.std()) > 0.02
    torch.testing.assert_close(shown, wanted, atol=2e-3, rtol=0)


def _plain(config: Trained) -> dict[str, object]:
    from halfseen.common.config import to_plain

    return dict(to_plain(config))


def _half(net: rival.PhotosToField) -> rival.PhotosToField:
    """With weights as files hold them."""
    net.load_state_dict({k: v.half().float() for k, v in net.state_dict().items()})
    return net


def test_a_prior_of_another_kind_is_refused(tmp_path: Path) -> None:
    net = torch.nn.Linear(1, 1)
    values = {f"eft.{k}": v.detach() for k, v in net.state_dict().items()}
    weights.save(tmp_path / "p", values, {"recipe": "r", "role": ROLE, "config": _plain(Trained())}, "card")
    with pytest.raises(UserError, match="predicts no field"):
        stored(str(tmp_path / "p"), RIVAL)


def test_it_has_as_many_parameters_as_what_it_is_beside() -> None:
    config = Trained()
    own = sum(p.numel() for n in PIXELNERF_VIEWS.networks(PIXELNERF_VIEWS.own).values() for p in n.parameters())
    beside = PIXELNERF_VIEWS.networks(config)
    assert own == pytest.approx(sum(p.numel() for n in beside.values() for p in n.parameters()), rel=0.05)


def test_two_photos_of_a_scene_are_among_three() -> None:
    two, three = protocols.co3d(2, 5), protocols.co3d(3, 5)
    assert three.train[:2] == two.train
    assert sorted((*two.train, *two.test)) == list(range(32))
    assert protocols.co3d(2, 6).train != two.train
