"""Similarity transforms x -> scale * R x + t, between the user's frame and the box that fields live in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + translation (float64)."""

    scale: float
    rotation: Tensor  # [3, 3]
    translation: Tensor  # [3]

    @staticmethod
    def identity() -> Similarity:
        return Similarity(1.0, torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))

    def inverse(self) -> Similarity:
        rotation = self.rotation.T
        return Similarity(1 / self.scale, rotation, -(rotation @ self.translation) / self.scale)

    def after(self, first: Similarity) -> Similarity:
        """The transform that applies `first`, then this one."""
        return Similarity(
            self.scale * first.scale,
            self.rotation @ first.rotation,
            self.scale * (self.rotation @ first.translation) + self.translation,
        )

    def points(self, xyz: Tensor) -> Tensor:
        """Transform points [..., 3]."""
        return self.scale * xyz @ self.rotation.to(xyz).T + self.translation.to(xyz)

    def cameras(self, cameras: Cameras) -> Cameras:
        """Transform camera poses. Depth along a transformed camera is `scale` times the old one."""
        c2w = cameras.c2w.clone()
        c2w[:, :3, :3] = self.rotation.to(c2w) @ c2w[:, :3, :3]
        c2w[:, :3, 3] = self.points(cameras.centres)
        return replace(cameras, c2w=c2w)

    def matrix(self) -> Tensor:
        """The 4x4 matrix."""
        out = torch.eye(4, dtype=self.rotation.dtype)
        out[:3, :3], out[:3, 3] = self.scale * self.rotation, self.translation
        return out

    def to_plain(self) -> dict[str, Any]:
        return {"scale": self.scale, "rotation": self.rotation.tolist(), "translation": self.translation.tolist()}

    @staticmethod
    def from_plain(data: dict[str, Any]) -> Similarity:
        rotation = torch.tensor(data["rotation"], dtype=torch.float64)
        return Similarity(float(data["scale"]), rotation, torch.tensor(data["translation"], dtype=torch.float64))
