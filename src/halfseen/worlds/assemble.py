"""Putting things together: meshes with their own materials become one model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from halfseen.worlds import mesh as X
from halfseen.worlds.light import Light
from halfseen.worlds.materials import Material
from halfseen.worlds.mesh import Mesh
from halfseen.worlds.render import Model

Made = tuple[list[Mesh], list[Material]]


class Assembly:
    """Collects meshes and materials; each addition keeps its own numbering of materials."""

    def __init__(self) -> None:
        self.meshes: list[Mesh] = []
        self.materials: list[Material] = []
        self.ghosts: set[int] = set()

    def add(self, parts: Sequence[Mesh], materials: Sequence[Material], *, ghost: bool = False) -> None:
        """Add parts; a ghost is seen but casts no shadow (a ceiling under which there must be light)."""
        start = len(self.materials)
        self.meshes += [replace(p, material=p.material + np.int32(start)) for p in parts]
        self.materials += list(materials)
        if ghost:
            self.ghosts |= set(range(start, len(self.materials)))

    def place(self, made: Made, at: tuple[float, float, float], *, degrees: float = 0.0, size: float = 1.0) -> None:
        """Add a thing that stands on z = 0, turned about z, scaled, and moved."""
        parts, materials = made
        whole = X.turn(X.stretch(X.join(parts), (size,) * 3), "z", degrees)
        self.add([X.move(whole, at)], materials)

    def model(self, light: Light) -> Model:
        """One model of everything."""
        return Model(X.join(self.meshes), self.materials, light, frozenset(self.ghosts))
