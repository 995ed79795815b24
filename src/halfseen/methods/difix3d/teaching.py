"""What a round of repairs makes to learn from."""

from __future__ import annotations

import torch

from halfseen.cameras.cameras import Cameras
from halfseen.data.capture import Colour
from halfseen.fields.contract import Field
from halfseen.methods.difix3d.config import Updates
from halfseen.methods.difix3d.inputs import Witnesses
from halfseen.methods.difix3d.repairing import Repairer
from halfseen.methods.photometric.lessons import Lesson


def prepare(
    field: Field,
    known: Witnesses,
    back: Colour,
    cameras: Cameras,
    repairer: Repairer,
    strength: float,
    cfg: Updates,
    number: int,
) -> Lesson:
    """Render the views of a round, repair them by `strength`, and weigh them by the guard and by how opaque they are."""
    shown, weights = [], []
    for i in range(len(cameras)):
        with torch.no_grad():
            rendering = field.render(cameras[i], background=back)
        made = repairer.repair(rendering, cameras[i], known, back)
        shown.append(torch.lerp(made.before, made.after, strength))
        weights.append(made.weight * (rendering.alpha.cpu() > cfg.alpha))
    return Lesson(torch.stack(shown), torch.stack(weights), cameras, torch.full((len(cameras),), number))
