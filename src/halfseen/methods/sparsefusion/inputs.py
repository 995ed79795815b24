"""The photos of a capture as the networks are shown them: cut out, over black, cropped by their masks, in the box frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras, make
from halfseen.common.errors import UserError
from halfseen.data.capture import Capture
from halfseen.images import color
from halfseen.methods.sparsefusion import cropped, frame
from halfseen.methods.sparsefusion.epipolar import Query


@dataclass(frozen=True)
class Inputs:
    """K photos, square."""

    photos: Tensor  # [K, 3, s, s] in [0, 1] over black
    c2w: Tensor  # [K, 4, 4] float64, in the box frame
    lenses: Tensor  # [K, 4] in windows' sides
    middle: Tensor  # [3] float64 of the object, in the box frame
    unit: float  # the networks' length of one, in box lengths

    @property
    def lens(self) -> Tensor:
        """Of imagined views [4]: as wide as the photos' windows on average, with its middle in the middle."""
        focal = self.lenses[:, :2].mean()
        return torch.stack([focal, focal, torch.tensor(0.5), torch.tensor(0.5)]).to(self.lenses)


def of(capture: Capture, size: int, device: torch.device) -> Inputs:
    """The photos of a loaded capture of the box frame, `size` pixels on a side."""
    shown, lenses = [], []
    back = torch.tensor(capture.background or color.WHITE)
    for view in capture.views:
        if view.mask is None or capture.mask_role != "object":
            raise UserError(
                f"photo {view.name} does not say what is the object",
                got="no mask and no transparency",
                accepted="a mask for every photo, or photos that are cut out",
                do="Add a mask for each photo, or photos with transparency.",
            )
        assert view.camera is not None
        mask = view.mask.read_grey()[None, None]
        rgb = view.image.read()[..., :3].movedim(-1, 0)[None]
        black = (rgb - (1 - mask) * back[:, None, None]).clamp_min(0) if capture.on_background else rgb * mask
        window = cropped.around(mask)
        shown.append(cropped.cut(black, window, size))
        lenses.append(cropped.lenses(view.camera, window))
    c2w, lens = capture.cameras().c2w.double(), torch.cat(lenses)
    middle = frame.middle(c2w, lens)
    return Inputs(torch.cat(shown).to(device), c2w, lens, middle, frame.half(c2w, lens.double(), middle))


def query(inputs: Inputs, c2w: Tensor, lenses: Tensor) -> Query:
    """Queries at cameras [N, 4, 4] of the box frame with lenses [N, 4], all with the same photos."""
    each = [
        frame.query(pose, lens, inputs.c2w, inputs.lenses, inputs.unit, inputs.middle)
        for pose, lens in zip(c2w, lenses, strict=True)
    ]
    return _on(frame.joined(each), inputs.photos.device)


def cameras(c2w: Tensor, lens: Tensor, size: int) -> Cameras:
    """Cameras [N] of one lens in windows' sides, of pictures of size x size."""
    fx, fy, cx, cy = (float(v) * size for v in lens)
    return make(c2w, (fx, fy, cx, cy), (size, size))


def _on(asked: Query, device: torch.device) -> Query:
    return Query(*(getattr(asked, k).to(device) for k in vars(asked)))
