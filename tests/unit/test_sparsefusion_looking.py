"""What a field learns from views that SparseFusion imagined."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from halfseen.cameras import paths
from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.fields import hashgrid
from halfseen.methods.sparsefusion import inputs, looking
from halfseen.methods.sparsefusion.config import Imagining
from halfseen.metrics.edges import edges
from halfseen.priors import schedules


def poses(count: int) -> Tensor:
    eye = torch.tensor([[2.0, 0.0, 0.5], [1.5, 1.5, 0.3]][:count], dtype=torch.float64)
    return paths.look_at(eye, torch.zeros_like(eye), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("time", [0.1, 0.5, 0.8])
def test_imagined_views_count_as_much_as_sigma_squared(time: float) -> None:
    """In pixels magnitudes, weighed by the noise; how alike they look is weighed by no noise; nothing flows into what was imagined."""
    config = hashgrid.Config(levels=2, finest=8, log2_entries=8, bounded=True)
    field = hashgrid.create(Similarity.identity(), config, 0, torch.device("cpu"))
    cameras = inputs.cameras(poses(2), torch.tensor([1.3, 1.3, 0.5, 0.5]), 8).to(torch.float32)
    sigma2 = float(schedules.offset_cosine(torch.tensor([time], dtype=torch.float64)).sigma ** 2)
    assert sigma2 == pytest.approx(math.sin(math.pi / 2 * (time + 0.008) / 1.008) ** 2)
    imagined = torch.rand(2, 3, 8, 8, generator=generator(0, "imagined"))
    lesson = looking.lesson(imagined, cameras, sigma2, 1)
    how, by = Imagining(weight=2.0, looks_alike=0.5, ground="black"), looking.Compared(None, None)
    found = looking.distilled(field, lesson, (imagined[1], None), 1, how, by, 1.0, generator(0, "rays"))
    shown = field.render(cameras[1], background=(0.0, 0.0, 0.0), generator=generator(0, "rays")).rgb.movedim(-1, 0)
    torch.testing.assert_close(found["views"], 2 * sigma2 * (shown - imagined[1]).abs().mean())
    torch.testing.assert_close(found["alike"], 0.5 * edges(shown[None], imagined[1:]))
    found["views"].backward()
    assert any(p.grad is not None and bool(p.grad.any()) for g in field.parameter_groups() for p in g["params"])


def test_dark_fog_is_seen_before_another_colour() -> None:
    """A picture that shows nothing, over black: whoever has dark fog there errs where the ground is of any other colour."""
    config = hashgrid.Config(levels=2, finest=8, log2_entries=8, bounded=True)
    field = hashgrid.create(Similarity.identity(), config, 0, torch.device("cpu"))
    cameras = inputs.cameras(poses(1), torch.tensor([1.3, 1.3, 0.5, 0.5]), 8).to(torch.float32)
    lesson = looking.lesson(torch.zeros(1, 3, 8, 8), cameras, 1.0, 1)
    by = looking.Compared(None, None)
    dark, nothing, fog = torch.zeros(3, 8, 8), torch.zeros(1, 8, 8), torch.ones(1, 8, 8)
    found = looking.distilled(field, lesson, (dark, nothing), 0, Imagining(), by, 1.0, generator(0, "g"))
    sure = looking.distilled(field, lesson, (dark, fog), 0, Imagining(), by, 1.0, generator(0, "g"))
    rng = generator(0, "g")
    ground = tuple(torch.rand(3, generator=rng).tolist())
    shown = field.render(cameras[0], background=ground, generator=rng)
    torch.testing.assert_close(found["views"], (shown.rgb - torch.tensor(ground)).abs().mean())
    torch.testing.assert_close(sure["views"], shown.rgb.abs().mean())


def test_what_covers_an_imagined_view() -> None:
    """As much as it is bright beside the object's own colour there; and what is black where the transformer is sure of the object."""
    rgb, plain, alpha = torch.zeros(20, 20, 3), torch.zeros(3, 20, 20), torch.zeros(1, 20, 20)
    # A thing of brightness 0.8 that the transformer shows as half there, and the picture as thinner than a pixel.
    alpha[0, :, 8:12], plain[:, :, 8:12] = 0.5, 0.4
    rgb[:, 9] = 0.2
    found = looking.covered(rgb, plain, alpha)
    assert found[10, 9].item() == pytest.approx(0.25)
    assert not found[:, [0, 8, 10, 19]].any()
    alpha[0, :, 8:12], plain[:, :, 8:12] = 0.9, 0.72
    assert looking.covered(rgb, plain, alpha)[10, [8, 9]].tolist() == pytest.approx([0.8, 0.8])
    assert looking.covered(rgb, plain, None)[10, [8, 9]].tolist() == [0, 1]
