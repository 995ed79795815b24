"""Picture files of every kind, resizing without a shift, and frames picked from videos."""

import io as bytes_io

import numpy as np
import pytest
import torch
from PIL import Image

from halfseen.common.errors import UserError
from halfseen.data.video_frames import pick_sharp, read_file
from halfseen.images import color, io, resize, video


def corner(width=6, height=4):
    """A picture whose top left pixel is red and whose top right is green."""
    array = np.zeros((height, width, 3), np.uint8)
    array[0, 0], array[0, -1] = (255, 0, 0), (0, 255, 0)
    return Image.fromarray(array)


@pytest.mark.parametrize("suffix", ["tiff", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_to_pixels_and_size(tmp_path, orientation, suffix):
    upright = corner()
    # How a camera stores an upright scene under each orientation: the inverse of what a viewer does.
    stored = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    image = upright if stored is None else upright.transpose(Image.Transpose(stored))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{suffix}"
    image.save(path, exif=exif, **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {}))
    assert io.probe(path) == (6, 4)
    pixels = io.read(path)
    assert pixels.shape == (4, 6, 3)
    torch.testing.assert_close(pixels[0, 0], torch.tensor([1.0, 0, 0]), atol=0.03, rtol=0)
    torch.testing.assert_close(pixels[0, -1], torch.tensor([0, 1.0, 0]), atol=0.03, rtol=0)


def test_sixteen_bit_grey_keeps_its_depth(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 257, 65535]], np.uint16)).save(path)
    torch.testing.assert_close(io.read(path)[0, :, 0], torch.tensor([0.0, 257 / 65535, 1.0]))


def test_transparency_is_the_fourth_channel_and_composites_on_the_stated_background(tmp_path):
    path = tmp_path / "cut.png"
    Image.fromarray(np.array([[[255, 0, 0, 255], [0, 0, 0, 0]]], np.uint8)).save(path)
    pixels = io.read(path)
    assert pixels.shape == (1, 2, 4)
    assert color.over(pixels[..., :3], pixels[..., 3], (0.0, 0.5, 1.0))[0].tolist() == [[1, 0, 0], [0, 0.5, 1]]


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA", "RGBA", "RGB"])
def test_all_modes_become_colour(tmp_path, mode):
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    corner().convert(mode).save(path)
    assert io.read(path).shape == (4, 6, 4 if "A" in mode else 3)


def test_heic_when_its_library_is_there(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    path = tmp_path / "phone.heic"
    Image.fromarray(np.full((64, 96, 3), 128, np.uint8)).save(path)
    assert io.probe(path) == (96, 64)
    assert abs(float(io.read(path).mean()) - 0.5) < 0.05


def test_a_bomb_is_refused_by_its_header(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    corner().save(path)
    monkeypatch.setattr(io, "MAX_PIXELS", 23)
    with pytest.raises(UserError, match="6 x 4 pixels"):
        io.read(path)


def test_a_truncated_photo_names_itself(tmp_path):
    buffer = bytes_io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(buffer, "JPEG")
    path = tmp_path / "half.jpg"
    path.write_bytes(buffer.getvalue()[:600])
    with pytest.raises(UserError, match=r"half\.jpg"):
        io.read(path)


def test_focal_length_from_exif(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 26
    path = tmp_path / "phone.jpg"
    corner(400, 300).save(path, exif=exif)
    assert io.focal_from_exif(path) == pytest.approx(26 * 500 / 43.267)


@pytest.mark.parametrize(("width", "height"), [(17, 9), (40, 30), (64, 48), (128, 96)])
def test_resizing_moves_nothing(width, height):
    """A blob's centre scales exactly with the picture: no half pixel is lost."""
    x, y = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(48) + 0.5, indexing="xy")
    blob = torch.exp(-((x - 25.3) ** 2 + (y - 17.8) ** 2) / 50)[..., None]
    small = resize.resize(blob, width, height)[..., 0]
    u, v = torch.meshgrid(torch.arange(width) + 0.5, torch.arange(height) + 0.5, indexing="xy")
    centre = ((small * u).sum() / small.sum(), (small * v).sum() / small.sum())
    assert float(centre[0]) == pytest.approx(25.3 * width / 64, abs=0.02)
    assert float(centre[1]) == pytest.approx(17.8 * height / 48, abs=0.02)


def test_shrinking_averages_instead_of_picking():
    board = (torch.arange(64)[:, None] + torch.arange(64)[None] > -1).float()
    board[::2] = 0
    assert float((resize.resize(board[..., None], 16, 16) - 0.5).abs().max()) < 0.07


def test_fit_keeps_the_aspect_and_never_enlarges():
    assert resize.fit(1080, 1920, 256) == (144, 256)
    assert resize.fit(100, 50, 256) == (100, 50)
    assert resize.fit(4000, 1, 256) == (256, 1)


def test_sampling_at_centres_is_the_identity():
    pixels = torch.rand(5, 7, 3, generator=torch.Generator().manual_seed(0))
    x, y = torch.meshgrid(torch.arange(7) + 0.5, torch.arange(5) + 0.5, indexing="xy")
    torch.testing.assert_close(resize.sample(pixels, torch.stack([x, y], -1)), pixels, atol=1e-6, rtol=0)


def test_srgb_round_trip_and_anchor():
    values = torch.linspace(0, 1, 101)
    torch.testing.assert_close(color.srgb_from_linear(color.linear_from_srgb(values)), values, atol=1e-6, rtol=0)
    assert float(color.linear_from_srgb(torch.tensor(0.5))) == pytest.approx(0.21404, abs=1e-5)


def test_the_sharpest_frame_of_each_stretch_is_picked():
    assert pick_sharp([1, 5, 2, 9, 1, 3, 0, 7], 2) == [3, 7]
    assert pick_sharp([1, 2], 5) == [0, 1]


def test_video_round_trip_picks_sharp_frames(tmp_path):
    rng = torch.Generator().manual_seed(0)
    sharp = torch.rand(48, 64, 3, generator=rng)
    blurred = resize.resize(resize.resize(sharp, 8, 6), 64, 48)
    path = tmp_path / "walk.mp4"
    assert video.write_mp4(path, [blurred, sharp, blurred, blurred, blurred, sharp], 10) == 6
    capture = read_file(path, 2)
    assert [v.name for v in capture.views] == ["walk.mp4#000001", "walk.mp4#000005"]
    assert capture.views[0].image.read().shape == (48, 64, 3)
    assert not capture.posed


def test_sixteen_bit_colour_keeps_its_depth(tmp_path):
    """Written by hand, because Pillow writes and reads 8 bits only."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    values = np.array([[[30000, 1, 65535], [256, 257, 255]]], ">u2")
    rows = b"".join(b"\x00" + row.tobytes() for row in values)
    path = tmp_path / "deep.png"
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    expected = torch.from_numpy(values.astype(np.float32) / np.float32(65535))
    torch.testing.assert_close(io.read(path), expected, atol=1e-7, rtol=0)


def test_pictures_without_a_white_point_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "f.tiff")
    Image.fromarray(np.full((4, 4), 70000, np.int32)).save(tmp_path / "i.tiff")
    for name in ("f.tiff", "i.tiff"):
        with pytest.raises(UserError, match="8 or 16 bits"):
            io.read(tmp_path / name)


def test_only_the_promised_decoders_see_a_file(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    with pytest.raises(UserError, match="no picture"):
        io.probe(path)
    corner().save(tmp_path / "b.gif")
    (tmp_path / "b.gif").rename(tmp_path / "b.png")
    with pytest.raises(UserError, match="no picture"):
        io.probe(tmp_path / "b.png")


def test_orientation_in_a_png_header_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.png"
    corner().transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    assert io.probe(path) == (6, 4)
    assert io.read(path)[0, 0].tolist() == [1, 0, 0]
