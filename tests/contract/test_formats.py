"""Every format, read and written: a known 3D point lands on the same pixel before and after any conversion.

Pictures show coloured dots at known world points. After a conversion, the dot found in the re-read, undistorted picture must be
where the re-read camera projects the point: one flipped axis, one half pixel or one lost scale fails this by a wide margin.
"""

import itertools
from dataclasses import replace

import pytest
import torch
from support import POINTS, as_bytes, distorted_pixels, dot_centres, dotted

from halfseen.cameras.lens import Lens
from halfseen.data import emit, formats, protocols
from halfseen.data.capture import PictureArray, Split
from halfseen.data.load import load

POSED = [f for f in formats.FORMATS if f.name not in ("photos", "video")]
UNPOSED = [f for f in formats.FORMATS if f.name in ("photos", "video")]
CAPTURES = {
    "plain": dotted(),
    "off-centre": dotted(intrinsics=(150.0, 165.0, 74.5, 66.25)),
    "radial": dotted(intrinsics=(150.0, 150.0, 78.0, 61.0), lens=Lens("opencv", (0.08, -0.03, 0.002, -0.001))),
    "rational": dotted(lens=Lens("opencv", (0.1, -0.05, 0.001, 0.0, 0.02, 0.05, -0.01, 0.002))),
    "fisheye": dotted(lens=Lens("fisheye", (0.05, -0.01, 0.002, 0.0))),
}
# Bilinear resampling (undistorting, recentring) moves the centre of a dot by less than this; copies move it by nothing.
TOLERANCE_PX = 0.12


def assert_dots_line_up(capture):
    loaded = load(capture, 10_000)
    for view in loaded.views:
        found = dot_centres(view.image.read())
        expected = distorted_pixels(view.camera, Lens())
        assert float((found - expected).abs().max()) < TOLERANCE_PX, view.name


def written(capture, entry, folder):
    folder.mkdir()
    entry.write(capture, folder)
    return entry.read(folder)


@pytest.mark.parametrize("kind", CAPTURES)
def test_the_drawn_dots_are_where_the_points_project(kind):
    assert_dots_line_up(CAPTURES[kind])


@pytest.mark.parametrize("kind", CAPTURES)
@pytest.mark.parametrize("entry", POSED, ids=lambda f: f.name)
def test_a_point_lands_on_the_same_pixel_after_writing(tmp_path, entry, kind):
    capture = as_bytes(CAPTURES[kind])
    back = written(capture, entry, tmp_path / "a")
    assert entry.find(tmp_path / "a")
    assert_dots_line_up(back)
    # Scale, place and direction of the cameras survive to the last digits of a double.
    torch.testing.assert_close(back.cameras().c2w, capture.cameras().c2w, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("kind", ["off-centre", "radial"])
@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(POSED, 2)), ids=lambda f: f.name)
def test_a_point_survives_conversion_between_any_two_formats(tmp_path, first, second, kind):
    back = written(written(as_bytes(CAPTURES[kind]), first, tmp_path / "a"), second, tmp_path / "b")
    assert_dots_line_up(back)
    torch.testing.assert_close(back.cameras().c2w, CAPTURES[kind].cameras().c2w, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(
    "names",
    [
        ("DSC.png", "DSC-1.png", "DSC-2.png", "DSC_3.png"),
        ("a/IMG.0002.png", "a/IMG.0001.png", "a/IMG.0010.png", "a/IMG.0009.png"),
        ("x/0.png", "y/0.png", "x/1.png", "y/1.png"),
        ("ä b.png", ".hidden.png", "z+z.png", "10.png"),
    ],
    ids=range(4),
)
@pytest.mark.parametrize("entry", POSED, ids=lambda f: f.name)
def test_every_picture_keeps_its_own_camera_whatever_it_is_called(tmp_path, entry, names):
    capture = as_bytes(CAPTURES["plain"])
    capture = replace(capture, views=tuple(replace(v, name=n) for v, n in zip(capture.views, names, strict=True)))
    back = written(capture, entry, tmp_path / "a")
    assert_dots_line_up(back)
    held, found = (
        sorted(tuple(round(v, 9) for v in c.views[i].camera.centres[0].tolist()) for i in c.splits[0].test)
        for c in (capture, back)
    )
    assert held == found


@pytest.mark.parametrize(
    "entry", [f for f in POSED if f.name in ("transforms", "colmap", "colmap-text")], ids=lambda f: f.name
)
def test_lens_and_intrinsics_are_exact_where_the_format_holds_them(tmp_path, entry):
    for name, capture in CAPTURES.items():
        back = written(capture, entry, tmp_path / name)
        assert torch.equal(back.cameras().intrinsics, capture.cameras().intrinsics)
        for a, b in zip(back.views, capture.views, strict=True):
            assert a.lens.model == b.lens.model
            assert a.lens.padded(8) == b.lens.padded(8)


@pytest.mark.parametrize("entry", formats.FORMATS, ids=lambda f: f.name)
def test_losses_are_said_and_nothing_else_is_lost(tmp_path, entry):
    capture = as_bytes(CAPTURES["plain"])
    folder = tmp_path / "a"
    folder.mkdir()
    lost = " ".join(entry.write(capture, folder))
    back = entry.read(folder)
    kept = {
        "poses": back.posed,
        "depth": any(v.depth for v in back.views),
        "points": back.points is not None,
        "bounds": any(v.near_far for v in back.views),
        "splits": bool(back.splits),
    }
    for what, present in kept.items():
        assert present == (f"{emit.WORDS.get(what, what)} are lost" not in lost), (what, lost)
    assert len(back) == len(capture)


@pytest.mark.parametrize("entry", [f for f in POSED if f.name in ("transforms", "rgbd")], ids=lambda f: f.name)
def test_depth_keeps_its_unit(tmp_path, entry):
    capture = CAPTURES["plain"]
    back = written(capture, entry, tmp_path / "a")
    for a, b in zip(back.views, capture.views, strict=True):
        difference = abs(a.depth.read() - b.depth.read()).max()
        assert difference <= (0.0005 if entry.name == "rgbd" else 1e-6)


def test_points_and_bounds_survive(tmp_path):
    capture = CAPTURES["plain"]
    for name in ("transforms", "colmap", "colmap-text"):
        back = written(capture, formats.by_name(name), tmp_path / name)
        torch.testing.assert_close(torch.from_numpy(back.points.xyz), POINTS, atol=0, rtol=0)
        assert back.points.rgb.tolist() == capture.points.rgb.tolist()
    assert written(capture, formats.by_name("llff"), tmp_path / "llff").views[0].near_far == (0.8, 4.0)


@pytest.mark.parametrize("entry", UNPOSED, ids=lambda f: f.name)
def test_pictures_alone_keep_their_order_and_size(tmp_path, entry):
    back = written(as_bytes(CAPTURES["plain"]), entry, tmp_path / "a")
    assert not back.posed
    for a, b in zip(back.views, CAPTURES["plain"].views, strict=True):
        assert (a.image.width, a.image.height) == (160, 120)
        assert float((dot_centres(a.image.read()) - dot_centres(b.image.read())).abs().max()) < 0.5


def test_files_are_copied_byte_for_byte(tmp_path):
    first = tmp_path / "a"
    capture = written(CAPTURES["plain"], formats.by_name("transforms"), first)
    written(capture, formats.by_name("colmap"), tmp_path / "b")
    for path in sorted((first / "images").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / "images" / path.name).read_bytes()


def test_mixed_cameras_stay_with_their_frames(tmp_path):
    wide, narrow = dotted(intrinsics=(120.0, 120.0, 80.0, 60.0), count=2), dotted(size=(200, 140), count=3)
    views = (wide.views[0], narrow.views[1], narrow.views[2])
    capture = type(wide)(views, "world", wide.folder)
    for name in ("transforms", "colmap", "colmap-text"):
        back = written(as_bytes(capture), formats.by_name(name), tmp_path / name)
        assert torch.equal(back.cameras().intrinsics, capture.cameras().intrinsics)
        assert_dots_line_up(back)
    for name in ("llff", "rgbd"):
        assert_dots_line_up(written(as_bytes(capture), formats.by_name(name), tmp_path / name))


def test_a_downscaled_copy_of_the_pictures_scales_the_cameras(tmp_path):
    from halfseen.data.emit import stems
    from halfseen.images import io, resize

    capture = written(as_bytes(CAPTURES["off-centre"]), formats.by_name("transforms"), tmp_path / "a")
    for stem in stems(capture):
        path = tmp_path / "a" / "images" / f"{stem}.png"
        io.write_png(path, resize.resize(io.read(path), 80, 60))
    back = formats.read([tmp_path / "a"])
    assert_dots_line_up(back)
    assert any("scaled to the pictures" in n for n in back.notes)


def test_what_a_conversion_drops_is_named(tmp_path):
    import json

    folder = tmp_path / "a"
    written(as_bytes(CAPTURES["plain"]), formats.by_name("transforms"), folder)
    document = json.loads((folder / "transforms.json").read_text())
    (folder / "transforms.json").write_text(json.dumps({**document, "applied_transform": [[1]], "aabb_scale": 4}))
    capture = formats.read([folder])
    (tmp_path / "b").mkdir()
    lost = formats.by_name("transforms").write(capture, tmp_path / "b")
    assert lost == ["the keys aabb_scale, applied_transform of transforms.json are lost"]


def test_one_pinhole_for_all_shows_no_unknown_pixels(tmp_path):
    for kind in ("off-centre", "radial", "fisheye"):
        back = written(as_bytes(CAPTURES[kind]), formats.by_name("llff"), tmp_path / kind)
        loaded = load(back, 10_000)
        assert all(v.mask is None for v in loaded.views)
        width, height = loaded.views[0].image.width, loaded.views[0].image.height
        assert width * height > 0.7 * 160 * 120


def test_masks_survive(tmp_path):
    mask = torch.zeros(120, 160)
    mask[20:100, 30:130] = 1
    capture = as_bytes(CAPTURES["plain"])
    masked = tuple(replace(v, mask=PictureArray(mask)) for v in capture.views)
    back = written(replace(capture, views=masked, mask_role="valid"), formats.by_name("transforms"), tmp_path / "a")
    assert back.mask_role == "valid"
    assert torch.equal(back.views[2].mask.read_grey(), mask)


def test_blender_splits_survive_conversion(tmp_path):
    capture = as_bytes(CAPTURES["plain"])
    capture = replace(capture, splits=(Split("blender", (0, 3), (1, 2)),))
    back = written(capture, formats.by_name("transforms"), tmp_path / "a")
    assert protocols.choose(back, None, None).train == (0, 3)
    assert protocols.choose(back, None, None).test == (1, 2)
