"""What photos saw: of points, of pixels, of a mesh's vertices."""

import torch

from halfseen.cameras import cameras as cams
from halfseen.cameras import paths, rays
from halfseen.cameras.similarity import Similarity
from halfseen.export import mesh
from halfseen.fields import seen
from halfseen.fields.contract import Rendering


class Block:
    """A field that is an opaque box around the origin with half widths `half`."""

    to_user = Similarity.identity()

    def __init__(self, *half):
        self.half = torch.tensor(half, dtype=torch.float64)

    def render(self, cameras, *, window=None, pixels=None, background, generator=None):
        width, height = cameras.size()
        ray = rays.cast_all(cameras)
        ends = torch.stack([(side * self.half - ray.origins) / ray.directions for side in (-1, 1)])
        near, far = ends.amin(0).amax(-1), ends.amax(0).amin(-1)
        hit = (near <= far) & (near > 0)
        depth = torch.where(hit, near * ray.z_scale, 0.0).reshape(height, width)
        return Rendering(torch.zeros(height, width, 3), depth, hit.reshape(height, width).double(), depth)


# A wall, the plane x = 0.
WALL = Block(0.0, 99.0, 99.0)


def looking(*eyes, focal=40.0, size=40):
    """Cameras at `eyes` that look at the origin."""
    up, focus = torch.tensor([0, 0, 1.0], dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    poses = paths.look_at(torch.tensor(eyes, dtype=torch.float64), focus, up)
    return cams.make(poses, (focal, focal, size / 2, size / 2), (size, size))


def test_seen_counts_the_views_that_see_a_point_and_not_those_behind_a_wall():
    cameras = looking((3.0, 0, 0), (3.0, 1.0, 0), (-3.0, 0, 0))
    witness = seen.witness(WALL, cameras)
    points = torch.tensor([[0, 0, 0], [-1.0, 0, 0], [0, -1.5, 0], [0, 9.0, 0]], dtype=torch.float64)
    # On the wall (the third camera looks at its back, which is the same surface), behind it, at the edge of view, outside.
    assert seen.count_views(witness, points).tolist() == [3, 1, 2, 0]
    # What a photo's mask says nothing of, it did not see.
    left = torch.zeros(40, 40)
    left[:, :4] = 1
    masked = seen.witness(WALL, cameras, [None, left, torch.zeros(40, 40)])
    assert seen.count_views(masked, points).tolist() == [1, 0, 1, 0]
    picture = WALL.render(cameras[0], background=(0, 0, 0))
    map_ = seen.seen_map(witness, picture, cameras[0])
    assert int(map_[20, 20]) == seen.TWO_VIEWS


def test_the_back_of_a_thin_board_is_not_seen_from_its_front():
    """The board is thinner than the tolerance of depth at that distance: only the sides of its faces tell front from back."""
    board = Block(0.05, 0.5, 0.5)
    front = looking((6.0, 0.1, 0.2), focal=500.0, size=120)
    around = looking((6.0, 0.3, 0.2), (-6.0, 0.2, 0.1), (-6.0, -0.3, 0.2), focal=500.0, size=120)
    made = mesh.of(board, around, seen.witness(board, front), side=96)
    x, y, z = torch.from_numpy(made.xyz).T
    middle = ((y.abs() < 0.4) & (z.abs() < 0.4)).numpy()
    front, back = middle & (x > 0).numpy(), middle & (x < 0).numpy()
    assert front.sum() > 100
    assert back.sum() > 100
    assert (made.seen[front] == 1).mean() > 0.95
    assert (made.seen[back] == 0).mean() > 0.95
