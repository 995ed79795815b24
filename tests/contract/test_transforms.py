"""The dialects of transforms.json: Blender, instant-ngp, nerfstudio, seva."""

import json
import math

import pytest
import torch
from PIL import Image

from halfseen.common.errors import UserError
from halfseen.data import formats, transforms, transforms_camera

IDENTITY = torch.eye(4).tolist()


def make(folder, document, *, name="transforms.json", size=(40, 30), pictures=("a.png", "b.png")):
    folder.mkdir(exist_ok=True)
    for picture in pictures:
        path = folder / picture
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (9, 9, 9)).save(path)
    document.setdefault("frames", [{"file_path": p, "transform_matrix": shifted(i)} for i, p in enumerate(pictures)])
    (folder / name).write_text(json.dumps(document))
    return folder


def shifted(x):
    pose = torch.eye(4)
    pose[0, 3] = x
    return pose.tolist()


def intrinsics(folder):
    return transforms.read(folder).cameras().intrinsics[0].tolist()


def test_blender_parts_extensions_and_angle(tmp_path):
    angle = 0.6911112070083618
    for part, count in (("train", 3), ("val", 1), ("test", 2)):
        frames = [
            {"file_path": f"./{part}/r_{i}", "transform_matrix": shifted(i), "rotation": 0.1} for i in range(count)
        ]
        names = [f"{part}/r_{i}.png" for i in range(count)]
        make(
            tmp_path,
            {"camera_angle_x": angle, "frames": frames},
            name=f"transforms_{part}.json",
            size=(80, 80),
            pictures=names,
        )
    capture = formats.read([tmp_path])
    assert len(capture) == 6
    assert capture.splits[0].train == (0, 1, 2)
    assert capture.splits[0].test == (4, 5)
    focal = 0.5 * 80 / math.tan(angle / 2)
    assert capture.cameras().intrinsics[0].tolist() == pytest.approx([focal, focal, 40, 40])


def test_the_principal_point_defaults_to_the_middle_and_not_to_a_swapped_one(tmp_path):
    assert intrinsics(make(tmp_path, {"fl_x": 50.0})) == [50.0, 50.0, 20.0, 15.0]


def test_both_angles_give_both_focal_lengths(tmp_path):
    got = intrinsics(make(tmp_path, {"camera_angle_x": math.pi / 2, "camera_angle_y": math.pi / 3}))
    assert got == pytest.approx([20.0, 15 / math.tan(math.pi / 6), 20, 15])


def test_frames_may_have_their_own_intrinsics(tmp_path):
    frames = [
        {"file_path": "a.png", "transform_matrix": IDENTITY},
        {"file_path": "b.png", "transform_matrix": IDENTITY, "fl_x": 70.0, "cx": 18.0, "k1": 0.1},
    ]
    capture = transforms.read(make(tmp_path, {"fl_x": 50.0, "fl_y": 50.0, "frames": frames}))
    assert capture.cameras().intrinsics.tolist() == [[50, 50, 20, 15], [70, 50, 18, 15]]
    assert [v.lens.bends for v in capture.views] == [False, True]


def test_frames_are_ordered_by_file_path_so_that_split_ids_fit(tmp_path):
    frames = [{"file_path": p, "transform_matrix": shifted(i)} for i, p in enumerate(("b.png", "a.png"))]
    make(tmp_path, {"fl_x": 50.0, "frames": frames})
    (tmp_path / "train_test_split_1.json").write_text('{"train_ids": [0], "test_ids": [1]}')
    capture = transforms.read(tmp_path)
    assert [v.name for v in capture.views] == ["a.png", "b.png"]
    assert capture.splits[0].train == (0,)
    assert capture.cameras().centres[0, 0] == 1


def test_listed_file_names_become_a_split(tmp_path):
    document = {"fl_x": 50.0, "train_filenames": ["./b.png"], "val_filenames": ["a.png"]}
    assert transforms.read(make(tmp_path, document)).splits[0].train == (1,)


def test_absent_pictures_are_left_out_and_counted(tmp_path):
    frames = [{"file_path": p, "transform_matrix": IDENTITY} for p in ("a.png", "gone.png")]
    capture = transforms.read(make(tmp_path, {"fl_x": 50.0, "frames": frames}))
    assert len(capture) == 1
    assert "1 of 2 listed pictures are absent" in capture.notes[0]


def test_masks_and_millimetre_depth(tmp_path):
    frames = [{"file_path": "a.png", "transform_matrix": IDENTITY, "mask_path": "m.png", "depth_file_path": "d.png"}]
    make(tmp_path, {"fl_x": 50.0, "frames": frames})
    Image.new("L", (40, 30), 255).save(tmp_path / "m.png")
    Image.fromarray(__import__("numpy").full((30, 40), 1500, "uint16")).save(tmp_path / "d.png")
    view = transforms.read(tmp_path).views[0]
    assert float(view.mask.read_grey().min()) == 1
    assert view.depth.read().max() == pytest.approx(1.5)


@pytest.mark.parametrize(("model", "kind"), [("OPENCV_FISHEYE", "fisheye"), ("SIMPLE_RADIAL", "opencv")])
def test_camera_models(tmp_path, model, kind):
    capture = transforms.read(make(tmp_path, {"fl_x": 50.0, "camera_model": model, "k1": 0.1}))
    assert capture.views[0].lens.model == kind


def test_an_unknown_camera_model_names_the_known_ones(tmp_path):
    with pytest.raises(UserError, match="OPENCV_FISHEYE"):
        transforms.read(make(tmp_path, {"fl_x": 50.0, "camera_model": "EQUIRECTANGULAR"}))


def test_a_missing_focal_length_is_guessed_and_said(tmp_path):
    capture = transforms.read(make(tmp_path, {}))
    assert capture.cameras().intrinsics[0, 0] == 48
    assert "guessed 48 px" in capture.notes[0]


def test_camera_files_of_all_dialects(tmp_path):
    frame = {"transform_matrix": shifted(2)}
    path = tmp_path / "cameras.json"
    for document, focal in (
        ({"fl_x": 50.0, "fl_y": 60.0, "w": 40, "h": 30, "frames": [frame]}, [50, 60, 20, 15]),
        ({"camera_angle_x": math.pi / 2, "w": 40, "h": 30, "frames": [frame]}, [20, 20, 20, 15]),
        ({"w": 40, "h": 30, "frames": [{**frame, "fl_x": 50.0, "cx": 1.0}]}, [50, 50, 1, 15]),
    ):
        path.write_text(json.dumps(document))
        cameras, notes = transforms_camera.read_file(path)
        assert notes == []
        assert cameras.intrinsics[0].tolist() == pytest.approx(focal)
        assert cameras.centres[0].tolist() == [2, 0, 0]
        assert cameras.forward[0].tolist() == [0, 0, -1]
    path.write_text(json.dumps({"w": 40, "h": 30, "frames": [frame]}))
    with pytest.raises(UserError, match="no focal length"):
        transforms_camera.read_file(path)


def test_a_camera_file_without_sizes_takes_the_default_and_says_what_it_ignores(tmp_path):
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps({"camera_angle_x": math.pi / 2, "k1": 0.1, "frames": [{"transform_matrix": IDENTITY}]}))
    cameras, notes = transforms_camera.read_file(path, (40, 30))
    assert cameras.size(0) == (40, 30)
    assert "without it" in notes[0]
    with pytest.raises(UserError, match="'w'"):
        transforms_camera.read_file(path)


def test_distortion_in_nerfstudios_list(tmp_path):
    capture = transforms.read(
        make(tmp_path, {"fl_x": 50.0, "distortion_params": [0.1, -0.02, 0.003, 0.0, 0.001, -0.002]})
    )
    assert capture.views[0].lens.params == (0.1, -0.02, 0.001, -0.002, 0.003, 0.0, 0.0, 0.0)


def test_a_frames_own_angle_replaces_the_focal_length_at_the_top(tmp_path):
    frames = [{"file_path": "a.png", "transform_matrix": IDENTITY, "camera_angle_x": math.pi / 2}]
    assert intrinsics(make(tmp_path, {"fl_x": 50.0, "fl_y": 50.0, "frames": frames}))[:2] == pytest.approx([20, 20])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"camera_model": "PINHOLE", "k1": 0.1}, "no such distortion"),
        ({"k4": 0.1}, "no such distortion"),
        ({"mask_role": "objekt"}, "object, valid"),
        ({"background": [255, 255, 255]}, "from 0 to 1"),
        ({"distortion_params": [1, 2, 3, 4, 5, 6, 7]}, "distortion_params"),
    ],
)
def test_keys_that_cannot_be_meant_are_refused(tmp_path, change, word):
    with pytest.raises(UserError, match=word):
        transforms.read(make(tmp_path, {"fl_x": 50.0, **change}))


def test_split_ids_count_the_listed_pictures_and_absent_ones_are_refused(tmp_path):
    names = [f"{i}.png" for i in range(5)]
    frames = [{"file_path": n, "transform_matrix": shifted(i)} for i, n in enumerate(names)]
    make(tmp_path, {"fl_x": 50.0, "frames": frames}, pictures=[n for n in names if n != "1.png"])
    split = tmp_path / "train_test_split_2.json"
    split.write_text('{"train_ids": [2, 3], "test_ids": [0]}')
    capture = transforms.read(tmp_path)
    assert [capture.views[i].name for i in capture.splits[0].train] == ["2.png", "3.png"]
    for bad in (
        '{"train_ids": [1], "test_ids": []}',
        '{"train_ids": [2, 3.9], "test_ids": []}',
        '{"train_ids": [2], "test_ids": [2]}',
        '{"train_ids": [2, 2], "test_ids": []}',
    ):
        split.write_text(bad)
        with pytest.raises(UserError):
            transforms.read(tmp_path)


@pytest.mark.parametrize("name", [".", "..", "\ud800.png", "a/", "a\x00.png"])
def test_paths_that_name_no_file(tmp_path, name):
    frames = [{"file_path": name, "transform_matrix": IDENTITY}]
    with pytest.raises(UserError):
        transforms.read(make(tmp_path / "inner", {"fl_x": 50.0, "frames": frames}))


def test_a_link_behind_a_missing_extension_does_not_lead_out(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "secret.png")
    folder = make(tmp_path / "inner", {"fl_x": 50.0, "frames": [{"file_path": "x", "transform_matrix": IDENTITY}]})
    (folder / "x.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(UserError, match="leaves the capture"):
        transforms.read(folder)
