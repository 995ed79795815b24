"""Real meshes (HALFSEEN_CAPTURES names their folder): every file is read, stands upright, and shows its colours."""

import pytest
import torch

from halfseen.worlds import layouts, sample, user_meshes
from halfseen.worlds.render import prepare, render

pytestmark = pytest.mark.captures

# Meshes of each collection that are rendered; all are too many for a test.
EACH = 6
# Saturation that a collection of coloured things shows at least in its mean.
MIN_SATURATION = 0.03
COLLECTIONS = ("meshes_cc0_kaykit", "meshes_cc0_kenney", "meshes_cc0_livingroom", "meshes_ccby3_gazebo")


@pytest.mark.parametrize("name", COLLECTIONS)
def test_meshes_of_a_collection_come_out_with_shape_and_colour(captures, name):
    files = user_meshes.find(captures / name)
    assert files
    saturation = []
    for path in files[:: max(1, len(files) // EACH)][:EACH]:
        loaded = user_meshes.load(path)
        assert loaded.notes == ()
        camera = layouts.hemisphere(sample.USER_STAGE, 1, (64, 64), 1)[0]
        picture = render(prepare(loaded.model), camera, "white")
        covered = picture.mask > 0.5
        assert 0.005 < float(covered.float().mean()) < 0.9
        assert torch.isfinite(picture.rgb).all()
        on = picture.rgb[covered]
        saturation.append(float((on.amax(-1) - on.amin(-1)).mean()))
    assert sum(saturation) / len(saturation) > MIN_SATURATION
