"""Training of the RGB-D patch denoiser (section 3.2 of the paper) on patches of rendered worlds, or of Hypersim's frames.

Sample p of the stream is a crop of frame p // crops with noise of its own; everything about it follows from p.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.methods.contract import Data, Recipe
from halfseen.methods.diffusionerf.patch_prior import ROLE, denoiser_of, networks
from halfseen.methods.diffusionerf.rooms import Rooms
from halfseen.methods.diffusionerf.training_config import PAPER, Config
from halfseen.priors import patches, samplers
from halfseen.priors.contract import Batch, Denoiser, NoiseLevel, eps_of, level_from_sigma, noised
from halfseen.priors.denoisers import clipped
from halfseen.priors.schedules import STEPS, continuous_cosine, squared_cosine
from halfseen.worlds.corrupt import Camera
from halfseen.worlds.stream import Frame, Stream, StreamConfig

# Noise at which the prior is judged: the ends and middle of what reconstruction asks for, and one beyond (spec 2.2).
JUDGED = (0.014, 0.086, 0.167, 0.35)
# Crops that no more of is there than this are taken again elsewhere, so many times. Worlds have a sky, whose depth is rightly nothing;
# in Hypersim a hole is a fault, and one pixel of a 48 x 48 crop is 4e-4 of it.
_LEAST_THERE, _LEAST_THERE_ROOMS, _TRIES = 0.5, 0.9999, 8
# Frames that are looked at for a crop.
_FRAMES = 16
# Levels of a sample sheet, its patches, and their side.
_SHEET_STEPS, _SHEET, _SHEET_SIDE = 40, 16, 48
# Held-out worlds and the crops of each of their views.
_HELD_WORLDS, _HELD_VIEWS, _HELD_CROPS = 8, 4, 4
_LAST_SIGMA = 0.9995
# Frames that are kept for the next crops, and patches that are judged at once.
_RECENT = 4
_AT_ONCE = 64

Source = Callable[[int], Frame]


class PatchTask:
    """The training task of `patch-rgbd`, of all four channels or of those that the network has."""

    def __init__(self, config: Config, source: Source | None = None) -> None:
        self.config = config
        self.networks = networks(config)
        self._frames: Stream | Rooms | None = None
        if source is None:
            self._frames = _source(config)
            source = self._frames.draw
        self._frame = lru_cache(_RECENT)(source)
        self._part = patches.part(config.channels)
        self._held: Tensor | None = None

    def batch(self, positions: range) -> Batch:
        """Clean patches, their noise, and how much of it: sigma, or the time of the paper's schedule."""
        side = patch_side(self.config, positions.start)
        drawn = [self._sample(p, side) for p in positions]
        clean, eps = torch.stack([d[0] for d in drawn]), torch.stack([d[1] for d in drawn])
        return {"x0": clean, "eps": eps, "amount": torch.tensor([d[2] for d in drawn])}

    def _sample(self, position: int, side: int) -> tuple[Tensor, Tensor, float]:
        rng = generator(self.config.seed, "patch-rgbd/sample", position)
        rgb, z = first_crop(self.config, self._frame, position // self.config.crops, side, rng)
        patch = patches.encode(rgb[None], z[None], self.config.disparity)[0]
        eps = torch.randn(patch.shape, generator=rng)
        return patch, eps, draw_time(rng) if self.config.kind == "paper" else draw_sigma(self.config, rng)

    def loss(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Mean error of the noise: the denoiser of least squared error is the score's (Vincent 2011)."""
        level, clock = self._level(batch["amount"])
        x = noised(batch["x0"], batch["eps"], level)[:, self._part]
        apart = networks["denoiser"](x, clock).float() - batch["eps"][:, self._part]
        error = apart**2 if self.config.error == "squares" else apart.abs()
        colour, disparity = patches.knows(self.config.channels)
        out = {"loss": error.mean()}
        out |= {"colour": error[:, patches.COLOUR].mean()} if colour else {}
        return out | ({"disparity": error[:, -1].mean()} if disparity else {})

    def _level(self, amount: Tensor) -> tuple[NoiseLevel, Tensor]:
        """The noise of samples, and as the network is told it."""
        if self.config.kind == "paper":
            time = amount.long()
            return squared_cosine().level(time), time
        level = level_from_sigma(amount)
        return level, level.log_snr

    def validate(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        """Share of the noise's power that is left, for colour and disparity at each judged sigma, on held-out frames."""
        clean = self.held_out()
        device = next(networks["denoiser"].parameters()).device
        denoiser = denoiser_of(self.config, networks["denoiser"])
        out: dict[str, float] = {}
        for sigma in JUDGED:
            found = remaining(denoiser, clean, sigma, device)
            names = zip(("colour", "disparity"), patches.knows(self.config.channels), found, strict=True)
            out |= {f"{name}_{sigma}": value for name, known, value in names if known}
        return out

    def held_out(self) -> Tensor:
        """Patches [B, 4, H, W] of worlds, or of scenes of Hypersim, that are never trained on."""
        if self._held is None:
            self._held = held_out(self.config)
        return self._held

    def sheet(self, networks: Mapping[str, nn.Module]) -> Tensor:
        """Samples from nothing but noise: colours above disparities."""
        net = denoiser_of(self.config, networks["denoiser"])
        device = next(networks["denoiser"].parameters()).device
        shape = (_SHEET, 4, _SHEET_SIDE, _SHEET_SIDE)
        x = torch.randn(shape, generator=generator(self.config.seed, "patch-rgbd/sheet")).to(device)
        levels = [
            level for level in samplers.levels(squared_cosine(), _SHEET_STEPS, device) if level.sigma < _LAST_SIGMA
        ]
        rgb, disparity = patches.decode(samplers.ddim(clipped(net), x, levels).float().cpu())
        return torch.cat([_row(rgb), _row(disparity[..., None].expand(-1, -1, -1, 3))])

    def close(self) -> None:
        """Stop the workers."""
        if self._frames is not None:
            self._frames.close()


def patch_side(config: Config, position: int) -> int:
    """Side of the patches of the step that a position belongs to: all processes and pieces of a step have one side."""
    pick = torch.rand((), generator=generator(config.seed, "patch-rgbd/side", position // config.loop.batch))
    return config.large if float(pick) < config.large_share else config.side


def draw_sigma(config: Config, rng: torch.Generator) -> float:
    """Noise of one sample."""
    which, where = torch.rand(2, generator=rng).tolist()
    if which < config.low_share:
        return math.exp(math.log(config.low_from) + where * math.log(config.low_to / config.low_from))
    sigma = float(continuous_cosine(torch.tensor([where], dtype=torch.float64)).sigma)
    return min(max(sigma, config.low_from), _LAST_SIGMA)


def draw_time(rng: torch.Generator) -> float:
    """Time of one sample of the paper's schedule, each as often."""
    return float(torch.randint(STEPS, (), generator=rng))


def least_there(config: Config) -> float:
    """The share of a crop's depth that must be known."""
    return _LEAST_THERE if config.hypersim is None else _LEAST_THERE_ROOMS


def first_crop(config: Config, draw: Source, first: int, side: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """A crop of frame `first`. Holes in the depth of rooms are faults: there it is the next frame that has a crop without one."""
    for number in range(first, first + _FRAMES):
        rgb, z, enough = crop(draw(number), side, rng, least_there(config))
        if enough or config.hypersim is None:
            return rgb, z
    raise UserError(
        "no crop of these frames is without holes",
        got=f"{_FRAMES} frames after each other with holes in their depth",
        accepted=f"crops of {side} px with a depth everywhere",
        do="Take frames with more depth, or smaller patches (--set side, --set large).",
    )


def crop(frame: Frame, side: int, rng: torch.Generator, least: float = _LEAST_THERE) -> tuple[Tensor, Tensor, bool]:
    """(colours [side, side, 3], z-depths [side, side], whether enough is there) of a random part of a frame, half of them mirrored.

    Parts with too little are taken again elsewhere, a few times.
    """
    height, width = frame.depth.shape
    rgb, z, enough = frame.rgb[:side, :side], frame.depth[:side, :side], False
    for _ in range(_TRIES):
        across, down, mirror = torch.rand(3, generator=rng).tolist()
        left, top = int(across * (width - side + 1)), int(down * (height - side + 1))
        rgb, z = frame.rgb[top : top + side, left : left + side], frame.depth[top : top + side, left : left + side]
        if mirror < 0.5:
            rgb, z = rgb.flip(1), z.flip(1)
        enough = float((z > 0).float().mean()) > least
        if enough:
            break
    return rgb.float() / 255, z.float(), enough


def held_out(config: Config) -> Tensor:
    """Patches of validation worlds, or of Hypersim's own validation scenes; always the same."""
    if config.hypersim is not None:
        return _held_crops(config, lru_cache(_RECENT)(Rooms(config.hypersim, "val").draw))
    with Stream(_stream(config, validation=True)) as frames:
        return _held_crops(config, lru_cache(_RECENT)(frames.draw))


def _held_crops(config: Config, source: Source) -> Tensor:
    out = []
    for i in range(_HELD_WORLDS * _HELD_VIEWS):
        for j in range(_HELD_CROPS):
            rng = generator(config.seed, "patch-rgbd/held", i * _HELD_CROPS + j)
            rgb, z = first_crop(config, source, i, config.large, rng)
            out.append(patches.encode(rgb[None], z[None], config.disparity)[0])
    return torch.stack(out)


@torch.no_grad()
def remaining(denoiser: Denoiser, clean: Tensor, sigma: float, device: torch.device) -> tuple[float, float]:
    """Mean squared error of the guessed noise, of colours and of disparity: 1 is no help, 0 is all of it gone."""
    level = level_from_sigma(torch.full((len(clean),), sigma))
    eps = torch.randn(clean.shape, generator=generator(0, "patch-rgbd/judge", round(1000 * sigma)))
    error = []
    for x0, e, a, s in zip(*(t.split(_AT_ONCE) for t in (clean, eps, level.alpha, level.sigma)), strict=True):
        part = NoiseLevel(a.to(device), s.to(device))
        x = noised(x0.to(device), e.to(device), part)
        guess = eps_of(x, denoiser(x, part), part)
        error.append(((guess.float().cpu() - e) ** 2).mean((0, 2, 3)))
    mean = torch.stack(error).mean(0)
    return float(mean[:3].mean()), float(mean[3])


def _source(config: Config) -> Stream | Rooms:
    """Where a training takes its frames from."""
    if config.hypersim is not None:
        return Rooms(config.hypersim, "train", config.workers)
    return Stream(_stream(config))


def _stream(config: Config, *, validation: bool = False) -> StreamConfig:
    return StreamConfig(
        families=config.families,
        size=(config.width, config.height),
        views=_HELD_VIEWS if validation else config.views,
        window=_HELD_WORLDS if validation else config.window,
        reuse=_HELD_WORLDS if validation else config.reuse,
        purpose="validation" if validation else "train",
        corruption=Camera() if config.photo_like and not validation else None,
        worlds=0 if validation else config.worlds,
        workers=0 if validation else config.workers,
    )


def _row(pictures: Tensor) -> Tensor:
    """Pictures [B, H, W, 3] side by side, in two rows."""
    return torch.cat([torch.cat(list(half), 1) for half in pictures.chunk(2)])


_WORLDS = Data(
    "rooms, things on tables and streets that halfseen makes and renders itself (`worlds`, seeds of purpose train)",
    "No photo, scan or mesh of anybody was used.",
    "worlds of purpose validation",
)
_HYPERSIM = Data(
    "Hypersim (Roberts et al. 2021, https://github.com/apple/ml-hypersim), its partition train",
    "Hypersim is licensed CC BY-SA 3.0.",
    "Hypersim's partition val",
)


def data_of(config: Config) -> Data:
    """What a config learns from."""
    return _WORLDS if config.hypersim is None else _HYPERSIM


PATCH_RGBD = Recipe(
    name="patch-rgbd",
    role=ROLE,
    config=Config,
    task=PatchTask,
    networks=networks,
    data_of=data_of,
)
# The paper's own network and training: days on an accelerator.
PATCH_RGBD_PAPER = replace(PATCH_RGBD, name="patch-rgbd-paper", start=PAPER)
