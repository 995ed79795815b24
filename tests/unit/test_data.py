"""Protocols, normalisation, loading, point clouds, reports."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import POINTS, dotted, random_cameras, random_poses

from halfseen.cameras import rays
from halfseen.cameras.cameras import make
from halfseen.cameras.lens import Lens
from halfseen.cameras.similarity import Similarity
from halfseen.common.errors import UserError
from halfseen.data import check, normalise, ply, protocols
from halfseen.data.capture import Capture, Depth, PictureArray, Points, Split, View
from halfseen.data.load import load

# Views of the eight LLFF scenes and their inputs, as the specification lists them.
LLFF = {
    "fern": (20, "1,10,19", "1,4,7,12,15,19", "1,3,5,7,10,12,14,17,19"),
    "flower": (34, "1,17,33", "1,7,13,20,26,33", "1,5,9,12,17,21,25,28,33"),
    "fortress": (42, "1,21,41", "1,9,17,25,33,41", "1,5,11,15,21,26,30,36,41"),
    "horns": (62, "1,30,61", "1,13,25,37,49,61", "1,9,15,23,30,38,46,53,61"),
    "leaves": (26, "1,12,25", "1,5,10,15,20,25", "1,4,6,10,12,15,19,21,25"),
    "orchids": (25, "1,12,23", "1,5,10,14,19,23", "1,3,6,10,12,14,18,21,23"),
    "room": (41, "1,20,39", "1,9,17,23,31,39", "1,5,10,15,20,25,30,35,39"),
    "trex": (55, "1,28,54", "1,11,22,33,44,54", "1,7,14,21,28,34,41,47,54"),
}


@pytest.mark.parametrize("scene", LLFF)
def test_llff_protocol(scene):
    total, *expected = LLFF[scene]
    for count, ids in zip((3, 6, 9), expected, strict=True):
        split = protocols.llff(count, total)
        assert ",".join(map(str, split.train)) == ids
        assert split.test == tuple(range(0, total, 8))


def test_dtu_protocol_partitions_the_49_views():
    split = protocols.dtu(9)
    assert split.train == (25, 22, 28, 40, 44, 48, 0, 8, 13)
    assert len(split.test) == 25
    assert sorted(split.train + split.test + protocols.DTU_EXCLUDED) == list(range(49))


def test_even_spacing_and_its_limits():
    assert protocols.even(3, 7).train == (0, 3, 6)
    assert protocols.even(1, 7).train == (3,)
    assert protocols.even(7, 7).test == ()
    with pytest.raises(UserError, match="1 to 7"):
        protocols.even(8, 7)


def test_a_stated_split_wins_over_even_spacing():
    capture = replace(dotted(), splits=(Split("train_test_split_2", (1, 3), (0,)),))
    assert protocols.choose(capture, 2, None).train == (1, 3)
    assert protocols.choose(capture, 3, None).name == "even-3"
    assert protocols.choose(capture, None, (2, 0)).train == (2, 0)
    assert protocols.choose(capture, None, None).train == (1, 3)
    several = replace(capture, splits=(*capture.splits, Split("train_test_split_1", (0,), (1,))))
    assert protocols.choose(several, None, None).train == (0, 1, 2, 3)
    with pytest.raises(UserError):
        protocols.choose(capture, None, (0, 9))


@given(st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_the_box_does_not_depend_on_scale_rotation_or_place(seed, scale):
    """Moving the whole capture by any similarity moves the box with it: cameras land at the same places in the box."""
    capture = dotted()
    rotation = random_poses(1, seed)[0, :3, :3]
    moved = normalise.move(capture, Similarity(scale, rotation, torch.tensor([5.0, -3.0, 40.0], dtype=torch.float64)))
    a = normalise.move(capture, normalise.measure(capture).to_box).cameras()
    b = normalise.move(moved, normalise.measure(moved).to_box).cameras()
    turn = b.c2w[0, :3, :3] @ a.c2w[0, :3, :3].T  # a free turn about +z remains
    torch.testing.assert_close(
        turn @ torch.tensor([0, 0, 1.0], dtype=torch.float64),
        torch.tensor([0, 0, 1.0], dtype=torch.float64),
        atol=1e-6,
        rtol=0,
    )
    torch.testing.assert_close(a.centres @ turn.T, b.centres, atol=1e-6, rtol=1e-6)


def test_similarities_keep_projections_and_invert():
    cameras = random_cameras(3, 0)
    similarity = Similarity(2.5, random_poses(1, 3)[0, :3, :3], torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    before, z = rays.project(cameras, POINTS)
    after, z2 = rays.project(similarity.cameras(cameras), similarity.points(POINTS))
    torch.testing.assert_close(before, after)
    torch.testing.assert_close(z * 2.5, z2)
    torch.testing.assert_close(similarity.inverse().points(similarity.points(POINTS)), POINTS)
    torch.testing.assert_close(similarity.after(similarity.inverse()).matrix(), torch.eye(4, dtype=torch.float64))
    assert Similarity.from_plain(similarity.to_plain()).matrix().equal(similarity.matrix())


def test_one_view_gets_a_box_from_its_distance_to_the_origin():
    capture = dotted(count=1)
    capture = replace(capture, points=None, views=(replace(capture.views[0], near_far=None, depth=None),))
    frame = normalise.measure(capture)
    assert frame.distance == pytest.approx(float(capture.cameras().centres[0].norm()))
    assert "origin of its file" in frame.source


def test_parallel_cameras_take_their_depth_from_what_is_known():
    capture = dotted(count=2)
    pose = capture.views[0].camera.c2w.clone()
    side = pose.clone()
    side[:, :3, 3] += 0.1 * pose[:, :3, 0]
    views = [
        replace(v, camera=replace(v.camera, c2w=c), depth=None)
        for v, c in zip(capture.views, (pose, side), strict=True)
    ]
    bare = replace(capture, views=tuple(replace(v, near_far=None) for v in views), points=None)
    assert "distance between neighbouring" in normalise.measure(bare).source
    bounded = normalise.measure(replace(capture, views=tuple(views), points=None))
    assert bounded.distance == pytest.approx(2 / (1 / 0.8 + 1 / 4.0), rel=0.01)


def with_pictures(capture, pixels, mask=None):
    picture = None if mask is None else PictureArray(mask)
    return replace(capture, views=tuple(replace(v, image=PictureArray(pixels), mask=picture) for v in capture.views))


def test_load_composites_transparency_and_states_it():
    pixels = torch.cat([dotted().views[0].image.read(), torch.zeros(120, 160, 1)], -1)
    loaded = load(with_pictures(dotted(), pixels), 80)
    assert loaded.mask_role == "object"
    assert loaded.background == (1.0, 1.0, 1.0)
    assert float(loaded.views[0].image.read().min()) == 1.0
    assert loaded.views[0].image.width == 80
    assert any("cut-out" in n for n in loaded.notes)


def test_transparent_black_does_not_bleed_when_shrunk():
    """White beside nothing over white is white at any size."""
    pixels = torch.zeros(120, 160, 4)
    pixels[:, :81] = 1
    loaded = load(with_pictures(dotted(), pixels), 40)
    assert float(loaded.views[0].image.read().min()) > 0.999


def test_an_opaque_fourth_channel_changes_nothing():
    pixels = torch.cat([dotted().views[0].image.read(), torch.ones(120, 160, 1)], -1)
    loaded = load(with_pictures(dotted(), pixels), 160)
    assert loaded.mask_role is None
    assert loaded.views[0].mask is None


def test_a_stated_role_wins():
    mask = torch.zeros(120, 160)
    mask[30:90, 40:120] = 1
    white = torch.ones(120, 160, 3)
    assert load(replace(with_pictures(dotted(), white, mask), mask_role="valid"), 160).mask_role == "valid"
    assert load(with_pictures(dotted(), white, mask), 160).mask_role == "object"


def test_pictures_are_put_over_their_background_once(tmp_path):
    """Loading, writing and loading again gives the same pixels, for masks with soft edges and for photos with a real background."""
    from halfseen.data import transforms, transforms_write

    rng = torch.Generator().manual_seed(0)
    mask = torch.zeros(120, 160)
    mask[30:90, 40:120] = 1
    mask[28:30, 40:120] = 0.5
    photo = torch.rand(120, 160, 3, generator=rng)
    capture = replace(with_pictures(dotted(), photo, mask), mask_role="object")
    first = load(capture, 160)
    assert float((first.views[0].image.read()[29, 60] - (0.5 * photo[29, 60] + 0.5)).abs().max()) < 1e-6
    transforms_write.write(first, tmp_path)
    stored = transforms.read(tmp_path)
    again = load(stored, 160)
    for a, b in zip(stored.views, again.views, strict=True):
        assert torch.equal(a.image.read(), b.image.read())


@pytest.mark.parametrize(("outside", "role"), [(1.0, "object"), (None, "valid")])
def test_masks_mean_object_only_where_the_rest_is_constant(outside, role):
    rng = torch.Generator().manual_seed(0)
    mask = torch.zeros(120, 160)
    mask[30:90, 40:120] = 1
    pixels = torch.rand(120, 160, 3, generator=rng)
    if outside is not None:
        pixels[mask == 0] = outside
    capture = dotted()
    views = tuple(replace(v, image=PictureArray(pixels), mask=PictureArray(mask)) for v in capture.views)
    loaded = load(replace(capture, views=views), 160)
    assert loaded.mask_role == role
    assert any("masks are taken" in n for n in loaded.notes)


def test_undistorting_cuts_to_what_the_photo_shows():
    lens = Lens(
        "opencv", (0.4, 0.0, 0.0, 0.0)
    )  # pincushion: a straight picture of the same size would look beyond the photo
    loaded = load(dotted(lens=lens), 160)
    assert all(not v.lens.bends for v in loaded.views)
    assert loaded.views[0].image.width < 160
    assert loaded.mask_role is None


def test_looking_beyond_the_photo_marks_it_in_the_mask():
    from halfseen.data.load import relens

    view = dotted().views[0]
    wide = relens(
        view, view.camera, replace(view.camera, intrinsics=view.camera.intrinsics * torch.tensor([0.5, 0.5, 1, 1]))
    )
    assert wide.mask is not None
    assert 0.2 < float(wide.mask.read_grey().mean()) < 0.3


def test_a_depth_camera_of_its_own_is_aligned():
    """A depth map with half the focal length of the picture: its centre quarter covers the picture."""
    camera = dotted().views[0].camera
    half = torch.full((120, 160), 2.0)
    half[30:90, 40:120] = 5.0
    depth = Depth(half, 160, 120, intrinsics=(75.0, 75.0, 80.0, 60.0))
    view = View("a", PictureArray(torch.zeros(120, 160, 3)), camera, depth=depth)
    loaded = load(Capture((view,), "test", __import__("pathlib").Path()), 160)
    assert loaded.views[0].depth is not None
    assert np.unique(loaded.views[0].depth.read()).tolist() == [5.0]


@given(st.integers(0, 200))
def test_point_clouds_round_trip(seed):
    import tempfile
    from pathlib import Path

    rng = np.random.default_rng(seed)
    points = Points(rng.normal(size=(seed, 3)) * 10.0 ** rng.integers(-3, 6), rng.integers(0, 256, (seed, 3), np.uint8))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.ply"
        ply.write_points(path, points)
        back = ply.read_points(path)
    np.testing.assert_array_equal(back.xyz, points.xyz)
    np.testing.assert_array_equal(back.rgb, points.rgb)


def test_ascii_and_big_endian_point_clouds(tmp_path):
    header = "ply\nformat {} 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    (tmp_path / "a.ply").write_text(header.format("ascii") + "1 2 3\n4 5 6\n")
    (tmp_path / "b.ply").write_bytes(
        header.format("binary_big_endian").encode() + np.array([[1, 2, 3], [4, 5, 6]], ">f4").tobytes()
    )
    for name in ("a.ply", "b.ply"):
        assert ply.read_points(tmp_path / name).xyz.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_a_report_counts_and_warns():
    report = check.check(dotted())
    assert report.views == 4
    assert report.geometry is not None
    assert report.geometry.up_name.startswith("+z")
    assert report.geometry.seen_twice > 0.5
    assert report.warnings == ()
    capture = dotted()
    away = capture.views[3].camera
    flipped = replace(away, c2w=away.c2w * torch.tensor([-1.0, 1, -1, 1], dtype=torch.float64))
    wrong = replace(capture, views=(*capture.views[:3], replace(capture.views[3], camera=flipped)))
    assert any("look apart" in w for w in check.check(wrong).warnings)
    twins = replace(capture, views=(capture.views[0], capture.views[1], replace(capture.views[0], name="twin")))
    assert any("stand where another" in w for w in check.check(twins).warnings)
    assert any("one view" in w for w in check.check(capture.select([0])).warnings)
    unposed = replace(capture, views=tuple(replace(v, camera=None) for v in capture.views))
    assert any("no camera poses" in w for w in check.check(unposed).warnings)


def test_depth_has_the_last_word_where_axes_meet_in_mid_air():
    """Views of a room that cross close by: the scene lies where the depth maps say."""
    capture = dotted()
    far = tuple(replace(v, depth=Depth(torch.full((12, 16), 9.0), 16, 12), near_far=None) for v in capture.views)
    frame = normalise.measure(replace(capture, views=far, points=None))
    assert frame.source == "the median of the depth maps"
    near = tuple(replace(v, depth=None, near_far=None) for v in capture.views)
    assert normalise.measure(replace(capture, views=near, points=None)).source == "where the optical axes meet"


def test_an_object_without_a_mask_in_one_photo_is_refused():
    views = cut_outs()
    whole = Capture(
        (*views, replace(views[0], name="bare", mask=None, image=PictureArray(torch.rand(8, 8, 3)))), "t", Path()
    )
    with pytest.raises(UserError, match="bare"):
        load(replace(whole, mask_role="object"), 8)
    assert load(replace(whole, mask_role="valid"), 8).mask_role == "valid"


def cut_outs():
    """Two white pictures with a red square, and masks of it."""
    mask = torch.zeros(8, 8)
    mask[2:6, 2:6] = 1
    rgb = 1 - mask[..., None] * torch.tensor([0.0, 1.0, 1.0])
    camera = random_cameras(2, 0)
    sized = replace(camera, sizes=torch.tensor([[8, 8]] * 2))
    return [View(f"v{i}", PictureArray(rgb), sized[i], mask=PictureArray(mask)) for i in range(2)]


def test_two_groups_of_cameras_are_told_apart_and_the_larger_is_fitted() -> None:
    c2w = torch.eye(4, dtype=torch.float64).repeat(7, 1, 1)
    c2w[:, 0, 3] = torch.tensor([0.0, 5.0, 0.1, 5.2, 0.3, -0.2, 5.1], dtype=torch.float64)
    cameras = make(c2w, (10.0, 10.0, 4.0, 4.0), (8, 8))
    split = protocols.clusters(cameras)
    assert split.train == (0, 2, 4, 5)
    assert split.test == (1, 3, 6)
    same = make(torch.eye(4, dtype=torch.float64).repeat(3, 1, 1), (10.0, 10.0, 4.0, 4.0), (8, 8))
    with pytest.raises(UserError, match="two groups"):
        protocols.clusters(same)


@pytest.mark.parametrize(
    "names",
    [
        ("walk-a/000.png", "walk-b/000.png", "walk-a/001.png"),
        ("frame_train_0001.png", "frame_eval_0001.png", "frame_train_0002.png"),
        ("frame_1_00001.png", "frame_2_00001.png", "frame_1_00002.png"),
        ("images/a/7.png", "images/b/1.png", "images/a/8.png"),
    ],
)
def test_the_first_of_two_walks_is_fitted(names: tuple[str, ...]) -> None:
    split = protocols.walks(names)
    assert split.train == (0, 2)
    assert split.test == (1,)
    with pytest.raises(UserError, match="two walks"):
        protocols.walks(names[:1])
