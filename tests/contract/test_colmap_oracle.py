"""COLMAP files against COLMAP's own code: pycolmap reads what we write, and we read what it writes."""

import numpy as np
import pycolmap
import pytest
import torch
from support import POINTS, as_bytes, distorted_pixels, dotted

from halfseen.cameras.lens import Lens
from halfseen.common.errors import UserError
from halfseen.data import colmap, colmap_binary, colmap_text
from halfseen.data.colmap_model import CAMERA_SENSOR, ModelFrame, ModelRig

LENSES = {
    "PINHOLE": Lens(),
    "OPENCV": Lens("opencv", (0.08, -0.03, 0.002, -0.001)),
    "FULL_OPENCV": Lens("opencv", (0.1, -0.05, 0.001, 0.0, 0.02, 0.05, -0.01, 0.002)),
    "OPENCV_FISHEYE": Lens("fisheye", (0.05, -0.01, 0.002, 0.0)),
}


@pytest.mark.parametrize("write", [colmap.write, colmap.write_text], ids=["binary", "text"])
@pytest.mark.parametrize("model", LENSES)
def test_pycolmap_projects_our_points_to_the_same_pixels(tmp_path, model, write):
    capture = as_bytes(dotted(intrinsics=(150.0, 160.0, 74.5, 66.25), lens=LENSES[model]))
    write(capture, tmp_path)
    theirs = pycolmap.Reconstruction(tmp_path / "sparse" / "0")
    assert len(theirs.points3D) == 3
    assert len(theirs.rigs) == 1
    assert len(theirs.frames) == 4
    for image in theirs.images.values():
        assert image.camera.model.name == model
        index = int(image.name.split(".")[0])
        local = image.cam_from_world() * POINTS.numpy()
        pixels = image.camera.img_from_cam(local)
        expected = distorted_pixels(capture.views[index].camera, LENSES[model])
        np.testing.assert_allclose(pixels, expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("text", [False, True])
def test_we_read_what_pycolmap_writes(tmp_path, text):
    capture = as_bytes(dotted(lens=LENSES["OPENCV"]))
    colmap.write(capture, tmp_path / "a")
    theirs = pycolmap.Reconstruction(tmp_path / "a" / "sparse" / "0")
    sparse = tmp_path / "b" / "sparse" / "0"
    sparse.mkdir(parents=True)
    (theirs.write_text if text else theirs.write_binary)(str(sparse))
    (tmp_path / "a" / "images").rename(tmp_path / "b" / "images")
    back = (colmap.read_text if text else colmap.read)(tmp_path / "b")
    torch.testing.assert_close(back.cameras().c2w, capture.cameras().c2w, atol=1e-12, rtol=0)
    assert back.views[0].lens.padded(8) == LENSES["OPENCV"].padded(8)
    assert len(back.points.xyz) == 3


@pytest.mark.parametrize("files", [colmap_binary, colmap_text], ids=["binary", "text"])
def test_rigs_and_frames_must_agree_with_the_images(tmp_path, files):
    """Two cameras fixed to one another as a rig: consistent files are read, contradicting ones are reported."""
    capture = as_bytes(dotted())
    colmap.write(capture, tmp_path / "a")
    model = colmap_binary.read(tmp_path / "a" / "sparse" / "0")
    first, second = model.images[0], model.images[1]
    from halfseen.cameras.rotations import matrix_to_quaternion
    from halfseen.data.colmap_model import rigid_matrix

    offset = rigid_matrix(second.pose) @ torch.linalg.inv(rigid_matrix(first.pose))
    pose = (*matrix_to_quaternion(offset[:3, :3]).tolist(), *offset[:3, 3].tolist())
    (camera_id,) = model.cameras
    cameras = {**model.cameras, camera_id + 1: model.cameras[camera_id]}
    images = (first, type(second)(second.image_id, second.pose, camera_id + 1, second.name), *model.images[2:])
    rig = ModelRig({(CAMERA_SENSOR, camera_id): None, (CAMERA_SENSOR, camera_id + 1): pose})
    data = ((CAMERA_SENSOR, camera_id, first.image_id), (CAMERA_SENSOR, camera_id + 1, second.image_id))
    rest = tuple(ModelFrame(1, i.pose, ((CAMERA_SENSOR, camera_id, i.image_id),)) for i in images[2:])
    good = type(model)(cameras, images, model.xyz, model.rgb, {1: rig}, (ModelFrame(1, first.pose, data), *rest))
    bad = type(model)(cameras, images, model.xyz, model.rgb, {1: rig}, (ModelFrame(1, second.pose, data), *rest))
    read = colmap.read if files is colmap_binary else colmap.read_text
    for name, content in (("good", good), ("bad", bad)):
        sparse = tmp_path / name / "sparse" / "0"
        sparse.mkdir(parents=True)
        files.write(content, sparse)
        (tmp_path / name / "images").symlink_to(tmp_path / "a" / "images")
    (tmp_path / "good" / "images").unlink()
    (tmp_path / "a" / "images").rename(tmp_path / "good" / "images")
    assert len(read(tmp_path / "good")) == 4
    if files is colmap_binary:
        theirs = pycolmap.Reconstruction(tmp_path / "good" / "sparse" / "0")
        assert len(theirs.rig(1).non_ref_sensors) == 1
    with pytest.raises(UserError, match="two different poses"):
        read(tmp_path / "bad")
