"""Random choices for worlds: one stream of numbers per object, drawn by name so that adding one choice does not move another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from halfseen.common.rng import derive_seed
from halfseen.worlds.light import Light
from halfseen.worlds.materials import Rgb

T = TypeVar("T")

# Suns stand this high (degrees) and the sky's tint varies by this much.
_SUN_HEIGHT = (28.0, 70.0)
_TINT = 0.06


@dataclass(frozen=True)
class Draw:
    """Named random numbers of one object: `draw.number("height", 1, 2)` is a pure function of seed, path and name."""

    seed: int
    path: str

    def number(self, name: str, low: float = 0.0, high: float = 1.0) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * float(self._rng(name).random())

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self._rng(name).integers(low, high + 1))

    def chance(self, name: str, share: float) -> bool:
        """True with this probability."""
        return bool(self._rng(name).random() < share)

    def pick(self, name: str, items: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of the items."""
        p = None if weights is None else np.asarray(weights) / np.sum(weights)
        return items[int(self._rng(name).choice(len(items), p=p))]

    def vary(self, name: str, colour: Rgb, amount: float = 0.08) -> Rgb:
        """A colour near this one: brightness and hue both move."""
        rng = self._rng(name)
        shift = amount * (2 * rng.random() - 1) + 0.5 * amount * (2 * rng.random(3) - 1)
        r, g, b = np.clip(np.asarray(colour) + shift, 0.02, 0.97)
        return float(r), float(g), float(b)

    def below(self, name: str) -> Draw:
        """The stream of a part."""
        return Draw(self.seed, f"{self.path}/{name}")

    def texture_seed(self, name: str) -> float:
        """A seed for a pattern."""
        return float(self.whole(name, 0, 9999))

    def _rng(self, name: str) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(derive_seed(self.seed, f"{self.path}/{name}")))


def daylight(draw: Draw) -> Light:
    """A sun from anywhere above, soft or hard, under a sky that is a little warmer or cooler."""
    azimuth, height = draw.number("azimuth", 0, 2 * np.pi), np.radians(draw.number("height", *_SUN_HEIGHT))
    tint = draw.number("tint", -_TINT, _TINT)
    return Light(
        sun_direction=(
            float(np.cos(height) * np.cos(azimuth)),
            float(np.cos(height) * np.sin(azimuth)),
            float(np.sin(height)),
        ),
        sun=(1.0, 0.94 - tint / 2, 0.86 - 1.5 * tint),
        sun_strength=draw.number("strength", 0.7, 1.7),
        sun_radius=draw.number("softness", 0.05, 0.3),
        zenith=(0.58 + tint, 0.68, 0.86 - tint),
        horizon=(0.94, 0.93, 0.91),
        ground=(0.45, 0.43, 0.40),
    )


def indoor_light(draw: Draw) -> Light:
    """Soft light from above, as objects on tables and in studios have it."""
    base = daylight(draw)
    grey = draw.number("studio", 0.75, 0.95)
    return Light(
        base.sun_direction,
        base.sun,
        0.6 * base.sun_strength,
        draw.number("lamp", 0.25, 0.5),
        (grey, grey, grey),
        (grey, grey, grey),
        (0.5, 0.48, 0.46),
    )
