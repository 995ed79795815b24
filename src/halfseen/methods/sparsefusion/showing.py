"""The transformer's pictures, or one sample of each view, in the place of renderings: of the square window that photos have around the object,
put where the camera sees it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.data.capture import Colour
from halfseen.fields.contract import Rendering
from halfseen.images import color
from halfseen.methods.sparsefusion import cropped, frame, view_prior
from halfseen.methods.sparsefusion.config import Config
from halfseen.methods.sparsefusion.inputs import Inputs
from halfseen.methods.sparsefusion.view_prior import ViewPrior

# Looks and first time of a sample from noise alone (released code: 50).
_FIRST, _LOOKS = 0.98, 50


@dataclass(frozen=True)
class Shown:
    """Pictures of the prior's own size, made larger, over a background where the field beneath has nothing."""

    prior: ViewPrior
    seen: Inputs
    cfg: Config

    def __call__(self, rendering: Rendering, camera: Cameras, back: Colour, /) -> Tensor:
        """Colours [H, W, 3] of a rendering at a camera of the box frame."""
        window = frame.window(camera, self.seen.middle, self.seen.unit)
        told = view_prior.tell(self.prior, self.seen, camera.c2w.double(), cropped.lenses(camera, window).double())
        found = told.rgb
        if self.cfg.way == "vldm":
            assert told.told is not None
            rng, when = view_prior.fresh(0, "shown"), (_FIRST, _LOOKS)
            found = view_prior.imagined(self.prior, self.cfg.prior, told.told, None, when, "ddim", rng)
        large = cropped.put(found.cpu(), window, *camera.size())[0].movedim(0, -1).clamp(0, 1)
        # Pictures are over black: what the transformer, or else the field beneath, does not cover is the background's.
        alpha = rendering.alpha.cpu()
        if told.alpha is not None:
            alpha = cropped.put(told.alpha.cpu(), window, *camera.size())[0, 0]
        return color.behind(large, alpha, back).clamp(0, 1)

    @property
    def facts(self) -> dict[str, float]:
        """What was asked of the denoiser."""
        return {"post_calls": float(self.prior.calls)}
