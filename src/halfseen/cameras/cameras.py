"""`Cameras`: a frozen batch of pinhole cameras.

Frame: OpenCV (x right, y down, z forward), camera-to-world. Pixel centres lie at +0.5, so the image spans [0, W] x [0, H].
Captures keep float64, because user frames can be kilometres from their origin; fields and networks take float32 via `to`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from halfseen.common import shapes

Intrinsics = tuple[float, float, float, float]  # fx, fy, cx, cy in pixels


@dataclass(frozen=True)
class Cameras:
    """A batch of V pinhole cameras."""

    c2w: Tensor  # [V, 4, 4] camera-to-world
    intrinsics: Tensor  # [V, 4] fx, fy, cx, cy in pixels
    sizes: Tensor  # [V, 2] width, height in pixels (int64)

    def __post_init__(self) -> None:
        views = shapes.check(self.c2w, "V 4 4", "c2w")["V"]
        shapes.check(self.intrinsics, f"{views} 4", "intrinsics")
        shapes.check(self.sizes, f"{views} 2", "sizes")

    def __len__(self) -> int:
        return self.c2w.shape[0]

    def __getitem__(self, index: int | slice | Sequence[int]) -> Cameras:
        """Select views; an integer gives a batch of one."""
        rows = [index] if isinstance(index, int) else index
        return Cameras(self.c2w[rows], self.intrinsics[rows], self.sizes[rows])

    @property
    def w2c(self) -> Tensor:
        """World-to-camera [V, 4, 4], from the transposed rotation."""
        rotation = self.c2w[:, :3, :3].transpose(1, 2)
        out = torch.zeros_like(self.c2w)
        out[:, :3, :3] = rotation
        out[:, :3, 3:] = -rotation @ self.c2w[:, :3, 3:]
        out[:, 3, 3] = 1
        return out

    @property
    def centres(self) -> Tensor:
        """Camera centres [V, 3] in the world."""
        return self.c2w[:, :3, 3]

    @property
    def forward(self) -> Tensor:
        """Unit viewing directions [V, 3] (the +z axis of each camera)."""
        return self.c2w[:, :3, 2]

    @property
    def up(self) -> Tensor:
        """Unit up directions [V, 3] (the -y axis of each camera)."""
        return -self.c2w[:, :3, 1]

    def size(self, view: int = 0) -> tuple[int, int]:
        """(width, height) of one view."""
        width, height = self.sizes[view].tolist()
        return int(width), int(height)

    def field_of_view(self) -> Tensor:
        """Horizontal and vertical opening angles [V, 2] in degrees, exact for off-centre principal points."""
        focal, centre = self.intrinsics[:, :2], self.intrinsics[:, 2:]
        angle = torch.atan(centre / focal) + torch.atan((self.sizes.to(focal) - centre) / focal)
        return torch.rad2deg(angle)

    def to(self, like: Tensor | torch.device | torch.dtype) -> Cameras:
        """Move or cast poses and intrinsics; sizes stay integers."""
        if isinstance(like, Tensor):
            return Cameras(self.c2w.to(like), self.intrinsics.to(like), self.sizes.to(like.device))
        sizes = self.sizes.to(like) if isinstance(like, torch.device) else self.sizes
        return Cameras(self.c2w.to(like), self.intrinsics.to(like), sizes)

    def resized(self, width: int, height: int) -> Cameras:
        """The same cameras with images resampled to width x height; each axis scales exactly."""
        new = torch.tensor([[width, height]], dtype=self.sizes.dtype, device=self.sizes.device).expand(len(self), 2)
        scale = new.to(self.intrinsics) / self.sizes.to(self.intrinsics)
        return replace(self, intrinsics=self.intrinsics * torch.cat([scale, scale], 1), sizes=new.clone())

    def cropped(self, left: int, top: int, width: int, height: int) -> Cameras:
        """The same cameras with images cut to a window of pixels."""
        shift = self.intrinsics.new_tensor([0, 0, left, top])
        sizes = self.sizes.new_tensor([[width, height]]).expand(len(self), 2).clone()
        return replace(self, intrinsics=self.intrinsics - shift, sizes=sizes)


def make(c2w: Tensor, intrinsics: Tensor | Intrinsics, size: tuple[int, int]) -> Cameras:
    """Cameras that share intrinsics (fx, fy, cx, cy) and size (width, height). `c2w` is [4, 4] or [V, 4, 4]."""
    c2w = c2w.reshape(-1, 4, 4)
    shared = torch.as_tensor(intrinsics, dtype=c2w.dtype).reshape(1, 4)
    return Cameras(c2w, shared.repeat(len(c2w), 1), torch.tensor([size]).repeat(len(c2w), 1))


def concat(batches: Sequence[Cameras]) -> Cameras:
    """Join batches of cameras."""
    return Cameras(*(torch.cat([getattr(b, name) for b in batches]) for name in ("c2w", "intrinsics", "sizes")))
