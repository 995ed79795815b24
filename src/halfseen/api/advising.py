"""Where one more photo would help most: by what photos saw of what is seen from all around."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from halfseen.api.rendering import background_of
from halfseen.cameras.cameras import Cameras
from halfseen.common.errors import UserError
from halfseen.data import normalise
from halfseen.export import advice_picture
from halfseen.export import frames as framing
from halfseen.fields import seen
from halfseen.images import io
from halfseen.poses import candidates
from halfseen.poses.candidates import Place
from halfseen.runs.fields import load_field
from halfseen.runs.run import Run

# Longer side of the pictures that are looked at, in pixels.
_SIZE = 96
# What a pixel is worth that no photo saw, and one that a single photo saw, whose depth only looks like one.
_UNSEEN, _ONCE = 1.0, 0.4
# Degrees that are the same height.
_LEVEL = 5.0
# Of what is seen from a place, photos have to know so much: a photo that shares nothing cannot be placed.
_SHARED = 0.15


@dataclass(frozen=True)
class Looked:
    """What would be seen from a place, as shares of all pixels that show something."""

    place: Place
    unseen: float
    once: float
    gain: float  # 0 where a photo from there could not be placed


@dataclass(frozen=True)
class Advice:
    """Where to stand."""

    best: Looked
    all: tuple[Looked, ...]
    sentence: str
    camera: Cameras  # user's frame
    cameras: Cameras  # of all places
    picture: Tensor  # [H, W, 3] what is seen from there, and a plan of all places


def advise(run: Run, told: Callable[[int, int], None] = lambda done, count: None) -> Advice:
    """Render a run from places all around it and say from where one more photo would show most of what none, or a single one, has shown."""
    capture, field = run.capture(), load_field(run)
    cameras = capture.cameras()
    frame = normalise.of_box(run.to_user.inverse(), cameras, run.config["normalised_by"])
    places = candidates.around(cameras, frame, alone=capture.mask_role == "object")
    width, height = cameras.size(0)
    scale = min(1.0, _SIZE / max(width, height))
    wanted = candidates.cameras_at(places, cameras, frame)
    small = wanted.resized(max(1, round(width * scale)), max(1, round(height * scale)))
    looked, shown = [], []
    for i, picture in enumerate(framing.render(field, capture, small, background_of(run))):
        assert picture.seen is not None
        looked.append(_looked(places[i], picture.seen))
        shown.append(picture)
        told(i + 1, len(places))
    best = max(range(len(looked)), key=lambda i: looked[i].gain)
    if looked[best].gain == 0:
        raise UserError(
            "no place can be advised",
            got="a scene of which nothing is seen from around it",
            accepted="a run whose renderings show something",
            do="Fit it for longer.",
        )
    own = candidates.of_cameras(cameras, frame)
    sentence = _sentence(looked[best], own, [v.name for v in capture.views])
    gains = [(n.place, n.gain) for n in looked]
    plan = advice_picture.draw(shown[best].rgb, shown[best].seen, gains, own, places[best])
    return Advice(looked[best], tuple(looked), sentence, wanted[best], wanted, plan)


def save(advice: Advice, path: Path) -> None:
    """Write the picture, as PNG."""
    io.write_png(path, advice.picture)


def _looked(place: Place, map_: Tensor) -> Looked:
    shows = float((map_ != seen.NOTHING).sum())
    if shows == 0:
        return Looked(place, 0.0, 0.0, 0.0)
    unseen, once = (float((map_ == value).sum()) / shows for value in (seen.INVENTED, seen.ONE_VIEW))
    # What fills the picture counts for more than what is a speck in it.
    gain = (_UNSEEN * unseen + _ONCE * once) * shows / map_.numel()
    return Looked(place, unseen, once, gain if 1 - unseen >= _SHARED else 0.0)


def _sentence(best: Looked, own: list[Place], names: list[str]) -> str:
    near = min(range(len(own)), key=lambda i: abs(candidates.turned(own[i].azimuth, best.place.azimuth)))
    turn = candidates.turned(own[near].azimuth, best.place.azimuth)
    rise = best.place.height - own[near].height
    side = f"{abs(turn):.0f} degrees to the {'right' if turn > 0 else 'left'} of where {names[near]} was taken"
    level = (
        "from the same height" if abs(rise) < _LEVEL else f"{abs(rise):.0f} degrees {'higher' if rise > 0 else 'lower'}"
    )
    return (
        f"One more photo would help most about {side}, {level}, looking at the same thing: "
        f"of what is seen from there no photo has shown {best.unseen:.0%}, and a single one {best.once:.0%}."
    )
