"""DiffusioNeRF (Wynn and Turmukhambetov, CVPR 2023): a fit to photos, pulled by the score of an RGB-D patch prior.

L = L_photo + L_geometric + <W eps_theta(p, tau) / sigma_tau, p>          equations 9 and 19, with the sign that descends

geometric         colours, foreground, frustum and distortion: the paper's own baseline, without a prior
geometric-prior   + the prior: the paper's method
prior             plain's `classic` (depth from stereo, coarse levels first) + the prior
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.cameras.similarity import Similarity
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.data.capture import Capture
from halfseen.fields import kinds
from halfseen.fields.contract import Rendering
from halfseen.fields.gaussians import Gaussians
from halfseen.methods.contract import Method
from halfseen.methods.diffusionerf import cameras, geometric, patch_prior
from halfseen.methods.diffusionerf import score as scores
from halfseen.methods.diffusionerf.config import PAPER, PAPER_SIZE, VARIANTS, Config
from halfseen.methods.diffusionerf.patch_prior import PatchPrior
from halfseen.methods.photometric import behind, cost, fit, warming
from halfseen.methods.photometric import config as photometric
from halfseen.methods.photometric.fit import Fit
from halfseen.priors import schedules
from halfseen.runs.snapshot import Knobs, Snapshot, State

# Opacity below which a pixel of a patch shows nothing.
_NOTHING = 0.1


@dataclass(frozen=True)
class Patch:
    """A rendered patch: rays [P] of a camera, with the colours that the prior sees."""

    rendering: Rendering
    rgb: Tensor  # [side, side, 3]
    z: Tensor  # [side, side] z-depth, 0 where nothing is
    of_photo: bool


def resolve(cfg: Config, capture: Capture, kind: str) -> Config:
    """Fill in what depends on the capture."""
    fitted = photometric.resolve(replace(cfg.fit, steps=cfg.steps), capture, kind)
    score = cfg.score
    if capture.mask_role == "object":
        score = replace(score, weight=score.weight * score.alone, alone=1.0, reach=score.reach_alone)
    return replace(cfg, fit=fitted, patches=cameras.for_photos(cfg.patches, capture), score=score)


def reconstruct(
    capture: Capture,
    to_user: Similarity,
    cfg: Config,
    seed: int,
    *,
    device: torch.device,
    state: tuple[int, State] | None = None,
) -> Generator[Snapshot, Knobs | None, None]:
    """Fit a field to a loaded capture in the box frame, with a resolved config. `state` is (step, tensors) of an earlier snapshot."""
    start, tensors = state or (0, None)
    fitted = replace(cfg.fit, steps=cfg.steps)
    going = fit.begin(capture, to_user, fitted, seed, device, tensors)
    prior = _prior(cfg, device) if cfg.use_prior else None

    def extra(step: int) -> dict[str, Tensor]:
        rng = generator(seed, "diffusionerf", step)
        found = _geometric(going, cfg, step)
        return found if prior is None else found | _pulled(going, cfg, prior, step, rng)

    yield from fit.steps(going, fitted, seed, start, extra)


def _prior(cfg: Config, device: torch.device) -> PatchPrior:
    """The prior, which has to take patches of the side that they have."""
    prior = patch_prior.load(cfg.prior, device)
    if cfg.patches.side % prior.multiple:
        raise UserError(
            "patches.side is no side of a patch for this prior",
            got=str(cfg.patches.side),
            accepted=f"a multiple of {prior.multiple}",
            do="Change --set patches.side.",
        )
    return prior


def _pulled(going: Fit, cfg: Config, prior: PatchPrior, step: int, rng: torch.Generator) -> dict[str, Tensor]:
    """The prior's term on one patch, and what geometry says of its rays."""
    progress = step / cfg.steps
    patch = _look(going, cfg, rng)
    level = scores.level_at(cfg.score, schedules.squared_cosine(), progress)
    # A photo's own colours are right as they are: only the depth behind them is pulled.
    pulled = (
        prior.colour and cfg.pulls != "depth" and not patch.of_photo,
        prior.disparity and cfg.pulls != "colour",
    )
    z = patch.z * (cfg.score.metric_depth / _typical_depth(going)) if prior.rule == "metric" else patch.z
    out = {"prior": scores.pull(patch.rgb, z, prior.denoiser, level, prior.rule, cfg.score, pulled=pulled)}
    extra = geometric.terms(patch.rendering, _around(going, cfg, geometric.ON_PATCHES), cfg.geometric, step, progress)
    return out | {f"patch_{k}": cfg.geometric.on_patches * v for k, v in extra.items()}


def _look(going: Fit, cfg: Config, rng: torch.Generator) -> Patch:
    """Render a patch at a random place; some show a photo's own colours."""
    photos, capture = going.photos, going.capture
    camera, view = None, int(torch.randint(len(capture), (), generator=rng))
    if float(torch.rand((), generator=rng)) < cfg.patches.from_photos:
        camera = cameras.of_photo(photos.cameras, view, cfg.patches, rng)
    of_photo = camera is not None
    if camera is None:
        camera = cameras.near(photos.cameras, _typical_depth(going), cfg.patches, rng)
    rendering = _render(going, camera, cfg.fit.grey, rng)
    side = cfg.patches.side
    # Whole pictures, as of Gaussians, come without samples along rays.
    whole = rendering.samples is None or not cfg.score.reach
    depth = rendering.mean_depth if whole else scores.within_reach(rendering, cfg.score.reach)
    z = torch.where(rendering.alpha.detach() > _NOTHING, depth, 0.0).reshape(side, side)
    rgb = rendering.rgb.reshape(side, side, 3)
    if of_photo:
        rgb = cameras.colours(camera, photos.cameras[view], capture.views[view].image.read()[..., :3].to(rgb))
    return Patch(rendering, rgb, z, of_photo)


def _render(going: Fit, camera: Cameras, grey: float | None, rng: torch.Generator) -> Rendering:
    """All rays of a small camera, loose, so that samples along them are kept."""
    width, height = camera.size()
    xy = rays.pixel_centres(width, height)
    colour = behind.colours(going.capture, grey, 1, rng)
    # Gaussians grow by what photos say of them, not by what patches do: those are shown, not fitted.
    jitter = None if going.drawn else rng
    pixels = (torch.zeros(len(xy), dtype=torch.long), xy)
    return going.field.render(camera, pixels=pixels, background=colour.expand(len(xy), 3), generator=jitter)


def _geometric(going: Fit, cfg: Config, step: int) -> dict[str, Tensor]:
    """The geometric baseline's terms on photos' rays."""
    settings, progress = cfg.geometric, step / cfg.steps
    out: dict[str, Tensor] = {}
    norm = geometric.network(going.field) if settings.network else None
    if norm is not None:
        out["network"] = settings.network * norm
    around = _around(going, cfg, geometric.ON_RAYS)
    if isinstance(going.field, Gaussians):
        out |= geometric.of_gaussians(going.field, around, settings, step)
    return out if going.shown is None else out | geometric.terms(going.shown, around, settings, step, progress)


def _around(going: Fit, cfg: Config, wanted: int) -> geometric.Around:
    nearest = cfg.geometric.frustum_near * _typical_depth(going)
    return geometric.Around(going.photos.cameras, nearest, wanted, going.capture.mask_role == "object")


def _typical_depth(going: Fit) -> float:
    """Median depth of the photos in box units: of what stereo knows, else (in fits that ask no stereo) the cameras' median distance to
    the centre of the box, which is framed around what photos look at."""
    known = going.known.depth[going.known.depth > 0] if going.known is not None else torch.zeros(0)
    return float(known.median()) if len(known) else float(going.photos.cameras.centres.norm(dim=-1).median())


def with_prior(cfg: Config, role: str, name: str, weight: float | None) -> Config:
    """The config with another prior, or another pull of it."""
    del role
    if not cfg.use_prior:
        raise UserError(
            "this variant asks no prior",
            got=f"--prior patch={name}",
            accepted="a variant with a prior: prior, geometric-prior",
            do="Change --variant, or leave --prior out.",
        )
    # A weight that is given holds on whatever is rebuilt.
    pulling = cfg.score if weight is None else replace(cfg.score, weight=weight, alone=1.0)
    return replace(cfg, prior=name, score=pulling)


METHOD = Method(
    name="diffusionerf",
    variants=VARIANTS,
    paper=PAPER,
    paper_size=PAPER_SIZE,
    fields=kinds.FITTED,
    config=Config,
    resolve=resolve,
    field_config=lambda cfg: photometric.field_config(cfg.fit),
    estimate=partial(
        cost.estimate,
        reconstruct,
        lambda cfg: cfg.fit,
        lambda cfg, fitted: replace(cfg, fit=fitted, steps=fitted.steps),
    ),
    reconstruct=reconstruct,
    warm_up=partial(warming.warm_up, lambda cfg: cfg.fit),
    roles=("patch",),
    with_prior=with_prior,
    priors_of=lambda cfg: (cfg.prior,) if cfg.use_prior else (),
)
