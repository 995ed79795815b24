"""What photos saw: of points, of pixels, of a mesh's vertices."""

import torch

from halfseen.bench import seen_recall
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


def looking(*eyes, focal=40.0, size=40, at=(0, 0, 0)):
    """Cameras at `eyes` that look at one place, z up."""
    up, focus = torch.tensor([0, 0, 1.0], dtype=torch.float64), torch.tensor(at, dtype=torch.float64)
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


def test_a_seen_map_tells_nothing_invented_one_photo_and_several():
    """A card, of which one photo shows the right half, one the upper half, and one the back."""
    card = Block(0.0, 1.0, 1.0)
    photos = [
        looking((3, 1.5, 0), at=(0, 1.5, 0)), looking((3, 0, 1.5), at=(0, 0, 1.5)), looking((-3, 0, 0))
    ]  # fmt: skip
    shown = looking((3, 0, 0))
    map_ = seen.seen_map(seen.witness(card, cams.concat(photos)), card.render(shown, background=(0, 0, 0)), shown)
    # Seen from +x, y is to the right and z is up; the card covers the inner two thirds of the picture.
    assert map_.dtype == torch.uint8
    assert {int(v) for v in map_[9:18, 22:31].unique()} == {255}
    assert {int(v) for v in map_[9:18, 9:18].unique()} == {170}
    assert {int(v) for v in map_[22:31, 22:31].unique()} == {170}
    assert {int(v) for v in map_[22:31, 9:18].unique()} == {85}
    assert {int(v) for v in map_[:5].unique()} == {0}


def test_the_seen_map_finds_each_class_in_a_room():
    """Eight views of a room, four of them photos, with exact depth beside exact visibility: what is wrong is the map's own fault."""
    room = seen_recall.scene("rooms", "walk-a", 8, (0, 2, 4, 6))
    witness, shown = seen_recall.exact(room)
    judged = seen_recall.judge(room, seen_recall.maps(room, witness, shown), shown)
    for name, (recall, share) in judged.recalls.items():
        assert share > 0.1, name
        assert recall > 0.85, name
    # One value everywhere is right about one class only.
    same = [torch.full_like(t, seen.TWO_VIEWS, dtype=torch.uint8) for t in room.truth]
    assert [r for r, _ in seen_recall.judge(room, same, shown).recalls.values()] == [0, 0, 1]


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
