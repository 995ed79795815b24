"""User meshes, worlds on disk and their commands: textures, placements, broken files, SRN in all its layouts."""

import json
import struct

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from support import cli

from halfseen.cameras import cameras as cams
from halfseen.cameras import paths
from halfseen.common.errors import UserError
from halfseen.data import formats, srn
from halfseen.worlds import (
    families,
    layouts,
    light,
    materials,
    mesh_reader,
    sample,
    user_meshes,
)
from halfseen.worlds.render import prepare, render

SIZE = (32, 24)
DAY = light.Light((0.3, -0.4, 0.8))


def write_obj(folder):
    (folder / "two.obj").write_text(
        "mtllib two.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nusemtl red\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    )
    (folder / "two.mtl").write_text("newmtl red\nKd 0.8 0.1 0.1\n")


def test_user_meshes_are_centred_scaled_and_turned_upright(tmp_path):
    write_obj(tmp_path)
    loaded = user_meshes.load(tmp_path / "two.obj")
    xyz = loaded.model.mesh.xyz
    assert np.linalg.norm(xyz, axis=1).max() == pytest.approx(0.75)
    # y of the file is up: the vertex (0, 1, 0) is the highest.
    top = xyz[xyz[:, 2].argmax()] / loaded.scale + loaded.centre
    assert top.tolist() == pytest.approx([0, 0, 1], abs=1e-9)
    flat = user_meshes.load(tmp_path / "two.obj", up="z")
    assert float(np.ptp(flat.model.mesh.xyz[:, 2])) == pytest.approx(flat.scale)
    assert loaded.model.materials[0].a[0] > 3 * loaded.model.materials[0].a[1]


def test_vertex_colours_and_placements(tmp_path):
    header = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    header += "property uchar red\nproperty uchar green\nproperty uchar blue\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "t.ply").write_text(header + "0 0 0 255 0 0\n1 0 0 255 0 0\n0 1 0 255 0 0\n3 0 1 2\n")
    model = user_meshes.load(tmp_path / "t.ply").model
    assert model.materials[0].kind == materials.VERTEX
    assert model.mesh.tex[0].tolist() == pytest.approx([1, 0, 0])
    (tmp_path / "scene.json").write_text(
        json.dumps({"objects": [{"mesh": "t.ply"}, {"mesh": "t.ply", "position": [5, 0, 0], "degrees": 90}]})
    )
    both = user_meshes.load(tmp_path / "scene.json")
    assert len(both.model.mesh) == 2
    assert user_meshes.find(tmp_path) == [tmp_path / "scene.json"]


def test_a_textured_gltf_shows_its_texture(tmp_path):
    """A square with a red left and a blue right half, written by hand as glTF with a side file."""
    Image.fromarray(np.array([[[255, 0, 0], [0, 0, 255]]] * 2, np.uint8).repeat(8, 0).repeat(8, 1)).save(
        tmp_path / "t.png"
    )
    xyz = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], "<f4")
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], "<f4")
    data = xyz.tobytes() + uv.tobytes() + np.array([0, 1, 2, 0, 2, 3], "<u2").tobytes()
    (tmp_path / "b.bin").write_bytes(data)
    document = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}, "doubleSided": True}],
        "textures": [{"source": 0}], "images": [{"uri": "t.png"}], "buffers": [{"uri": "b.bin", "byteLength": len(data)}],
        "bufferViews": [{"buffer": 0, "byteOffset": 0, "byteLength": 48}, {"buffer": 0, "byteOffset": 48, "byteLength": 32}, {"buffer": 0, "byteOffset": 80, "byteLength": 12}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3", "min": [0, 0, 0], "max": [1, 1, 0]},
            {"bufferView": 1, "componentType": 5126, "count": 4, "type": "VEC2"},
            {"bufferView": 2, "componentType": 5123, "count": 6, "type": "SCALAR"},
        ],
    }  # fmt: skip
    path = tmp_path / "q.gltf"
    path.write_text(json.dumps(document))
    model = user_meshes.load(path).model
    eye = torch.tensor([[0.0, -2.0, 0.0]]).double()
    camera = cams.make(
        paths.look_at(eye, torch.zeros(3).double(), torch.tensor([0, 0, 1.0]).double()),
        (30.0, 30.0, 16.0, 16.0),
        (32, 32),
    )
    albedo = render(prepare(model), camera, "white").albedo
    assert albedo[16, 12].tolist() == pytest.approx([1, 0, 0], abs=0.01)
    assert albedo[16, 20].tolist() == pytest.approx([0, 0, 1], abs=0.01)
    document["buffers"][0]["uri"] = "../b.bin"
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "q.gltf").write_text(json.dumps(document))
    with pytest.raises(UserError, match="leaves"):
        user_meshes.load(tmp_path / "inner" / "q.gltf")


@pytest.mark.parametrize("name", ["a.glb", "a.obj", "a.stl", "a.ply", "a.gltf"])
def test_broken_meshes_are_reported(tmp_path, name):
    (tmp_path / name).write_bytes(b"glTF" + struct.pack("<II", 2, 10**9) + b"x" * 50)
    with pytest.raises(UserError):
        user_meshes.load(tmp_path / name)


def test_a_mesh_without_extent_is_refused(tmp_path):
    write_obj(tmp_path)
    (tmp_path / "scene.json").write_text(json.dumps({"objects": [{"mesh": "two.obj", "scale": 0}]}))
    with pytest.raises(UserError, match="extent"):
        user_meshes.load(tmp_path / "scene.json")


def test_near_black_factors_stay_black():
    class Dark:
        baseColorFactor = np.array([1, 0, 0, 255], np.uint8)

    assert user_meshes._base_colour(Dark())[1] == pytest.approx((1 / 255, 0, 0))


def test_the_seen_mesh_is_the_rendered_one(tmp_path):
    import trimesh

    from halfseen.worlds import mesh_file

    mesh = families.by_name("tabletop").make(4).mesh
    mesh_file.write(mesh, tmp_path / "m.ply")
    read = trimesh.load_mesh(tmp_path / "m.ply", process=False)
    np.testing.assert_allclose(read.vertices, mesh.xyz, atol=1e-6)
    assert (read.faces == mesh.faces).all()


@pytest.mark.parametrize("four_lines", [False, True])
@pytest.mark.parametrize("inverse", [False, True])
def test_srn_in_both_pose_layouts_and_directions(tmp_path, four_lines, inverse):
    """The released text: f = 131.25 at 128 px; poses on one line or four; old exports are world-to-camera and say so."""
    folder = tmp_path / "chairs_train" / "chairs_2.0_train" / "abc"
    (folder / "rgb").mkdir(parents=True)
    (folder / "pose").mkdir()
    pose = paths.look_at(
        torch.tensor([[1.0, 1.2, 0.5]]).double(), torch.zeros(3).double(), torch.tensor([0, 0, 1.0]).double()
    )[0]
    matrix = torch.linalg.inv(pose) if inverse else pose
    for i in range(3):
        Image.new("RGB", (64, 64), (255, 255, 255) if i else (255, 255, 254)).save(folder / "rgb" / f"{i:06d}.png")
        rows = [" ".join(f"{v:.12f}" for v in row) for row in matrix.tolist()]
        (folder / "pose" / f"{i:06d}.txt").write_text(("\n" if four_lines else " ").join(rows))
    (folder / "intrinsics.txt").write_text(
        "131.250000 64.000000 64.000000 0.\n0. 0. 0.\n1.\n128 128\n" + ("1\n" if inverse else "")
    )
    assert srn.instances(tmp_path / "chairs_train") == [folder]
    capture = srn.read(folder)
    assert capture.cameras().intrinsics[0].tolist() == [65.625, 65.625, 32, 32]
    torch.testing.assert_close(capture.cameras().c2w[0], pose, atol=1e-9, rtol=0)
    assert float(capture.views[0].mask.read_grey().mean()) == 1
    assert float(capture.views[1].mask.read_grey().mean()) == 0


def test_missing_side_files_are_said_and_foreign_ones_refused(tmp_path, capsys):
    write_obj(tmp_path)
    (tmp_path / "two.mtl").unlink()
    loaded = user_meshes.load(tmp_path / "two.obj")
    assert any("two.mtl" in note and "grey" in note for note in loaded.notes)
    options = ("--views", 2, "--size", 16, "--workers", 1, "--out", tmp_path / "b")
    assert cli("data", "render", tmp_path / "two.obj", *options) == 0
    assert "two.mtl" in capsys.readouterr().out
    (tmp_path / "inner").mkdir()
    (tmp_path / "x.png").write_bytes(b"secret")
    write_obj(tmp_path / "inner")
    (tmp_path / "inner" / "two.mtl").write_text("newmtl red\nKd 1 1 1\nmap_Kd ../x.png\n")
    with pytest.raises(UserError, match="leaves"):
        user_meshes.load(tmp_path / "inner" / "two.obj")


def test_numbers_that_are_none_are_refused(tmp_path):
    (tmp_path / "n.obj").write_text(
        "mtllib n.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt nan 0\nvt 1 0\nvt 0 1\nusemtl m\nf 1/1 2/2 3/3\n"
    )
    (tmp_path / "n.mtl").write_text("newmtl m\nmap_Kd t.png\n")
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "t.png")
    with pytest.raises(UserError, match=r"n\.obj"):
        user_meshes.load(tmp_path / "n.obj")


def test_limits_hold_before_and_across_files(tmp_path, monkeypatch):
    write_obj(tmp_path)
    monkeypatch.setattr(user_meshes, "MAX_FACES", 9)
    (tmp_path / "scene.json").write_text(json.dumps({"objects": [{"mesh": "two.obj"}] * 3}))
    with pytest.raises(UserError, match="too large") as refused:
        user_meshes.load(tmp_path / "scene.json")
    assert "up to 1 more" in refused.value.accepted
    monkeypatch.setattr(mesh_reader, "MAX_BYTES", 20)
    with pytest.raises(UserError, match="too large"):
        user_meshes.load(tmp_path / "two.obj")


def test_one_texture_is_kept_once(tmp_path):
    two = trimesh.Scene()
    picture = Image.new("RGB", (8, 8), (0, 255, 0))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=picture)
    for x in (0, 3):
        box = trimesh.creation.box()
        box.visual = trimesh.visual.TextureVisuals(uv=np.zeros((len(box.vertices), 2)), material=material)
        box.apply_translation((x, 0, 0))
        two.add_geometry(box)
    two.export(tmp_path / "two.glb")
    model = user_meshes.load(tmp_path / "two.glb").model
    assert len(model.materials) == 2
    assert len(model.images) == 1
    camera = layouts.orbit(sample.USER_STAGE, 1, (17, 17), 0)[0]
    albedo = render(prepare(model), camera, "white").albedo
    assert albedo.reshape(-1, 3).max(0).values.tolist() == pytest.approx([0, 1, 0], abs=0.01)


def test_stl_and_glb_have_their_shape_and_axis(tmp_path):
    """A bar three times as long: along the file's z in STL (up), along its y in GLB (up too)."""
    for name, long in (("bar.stl", (1, 1, 3)), ("bar.glb", (1, 3, 1))):
        trimesh.creation.box(long).export(tmp_path / name)
        loaded = user_meshes.load(tmp_path / name)
        size = np.ptp(loaded.model.mesh.xyz, axis=0) / loaded.scale
        assert size.tolist() == pytest.approx([1, 1, 3], abs=1e-6)


def test_colours_of_faces(tmp_path):
    box = trimesh.creation.box()
    box.visual.face_colors = [[255, 0, 0, 255] if n[2] > 0.5 else [0, 0, 255, 255] for n in box.face_normals]
    box.export(tmp_path / "c.ply")
    model = user_meshes.load(tmp_path / "c.ply").model
    up = model.mesh.normal[model.mesh.faces[:, 0], 2] > 0.5
    colour = model.mesh.tex[model.mesh.faces[:, 0]]
    assert colour[up].mean(0).tolist() == pytest.approx([1, 0, 0], abs=1e-6)
    assert colour[~up].mean(0).tolist() == pytest.approx([0, 0, 1], abs=1e-6)


def test_placements_are_where_they_should_be(tmp_path):
    """Position, turn, scale, unit and axis of every object of a scene."""
    trimesh.creation.box((1, 2, 3)).export(tmp_path / "b.stl")
    objects = [
        {"mesh": "b.stl"},
        {"mesh": "b.stl", "position": [10, 0, 1], "degrees": 90, "scale": 2},
        {"mesh": "b.stl", "position": [0, 10, 0], "unit": "cm", "scale": 100, "up": "y"},
    ]
    (tmp_path / "scene.json").write_text(json.dumps({"objects": objects}))
    loaded = user_meshes.load(tmp_path / "scene.json")
    xyz = loaded.model.mesh.xyz / loaded.scale + loaded.centre
    expected = (((0, 0, 0), (1, 2, 3)), ((10, 0, 1), (4, 2, 6)), ((0, 10, 0), (1, 3, 2)))
    for part, (middle, size) in zip(np.split(xyz, 3), expected, strict=True):
        assert ((part.max(0) + part.min(0)) / 2).tolist() == pytest.approx(middle, abs=1e-6)
        assert np.ptp(part, axis=0).tolist() == pytest.approx(size, abs=1e-6)
    for key, bad in (("unit", "parsec"), ("up", "x"), ("position", [1, 2])):
        (tmp_path / "scene.json").write_text(json.dumps({"objects": [{"mesh": "b.stl", key: bad}]}))
        with pytest.raises(UserError, match=key):
            user_meshes.load(tmp_path / "scene.json")


@pytest.mark.parametrize("side", [128, 512])
def test_both_releases_of_cars(tmp_path, side):
    """Training cars come at 128 and at 512 px, with up to 250 views; the intrinsics speak of 512 or of 128 either way."""
    folder = tmp_path / "cars_train" / "abc"
    (folder / "rgb").mkdir(parents=True)
    (folder / "pose").mkdir()
    cameras = layouts.LAYOUTS["sphere"](layouts.Stage((0, 0, 0), 1.3, 525 / 512), 250, (side, side), 0)
    for i, pose in enumerate(cameras.c2w.tolist()):
        Image.new("RGB", (side, side), "white").save(folder / "rgb" / f"{i:06d}.png", compress_level=1)
        (folder / "pose" / f"{i:06d}.txt").write_text(" ".join(str(v) for row in pose for v in row))
    (folder / "intrinsics.txt").write_text("525.000000 256.000000 256.000000 0.\n0. 0. 0.\n1.\n512 512\n")
    read = srn.read(folder).cameras()
    assert len(read) == 250
    assert read.intrinsics[0].tolist() == pytest.approx([525 / 512 * side] * 2 + [side / 2] * 2)
    torch.testing.assert_close(read.c2w, cameras.c2w, atol=1e-9, rtol=0)


def test_srn_is_read_as_it_was_written(tmp_path):
    capture = sample.capture(families.by_name("chairs"), 2, views=3, size=(24, 24))
    formats.by_name("srn").write(capture, tmp_path / "a")
    again = srn.read(tmp_path / "a")
    torch.testing.assert_close(again.cameras().c2w, capture.cameras().c2w, atol=1e-6, rtol=0)
    torch.testing.assert_close(again.cameras().intrinsics, capture.cameras().intrinsics, atol=1e-4, rtol=0)
    for a, b in zip(again.views, capture.views, strict=True):
        torch.testing.assert_close(a.image.read()[..., :3], b.image.read(), atol=0.5 / 255 + 1e-6, rtol=0)


def test_colours_at_vertices_are_linear_in_gltf_and_srgb_elsewhere(tmp_path):
    box = trimesh.creation.box()
    box.visual.vertex_colors = np.tile([188, 0, 0, 255], (8, 1))
    red = {}
    for name in ("c.glb", "c.ply"):
        box.export(tmp_path / name)
        red[name] = float(user_meshes.load(tmp_path / name).model.mesh.tex[0, 0])
    assert red["c.glb"] == pytest.approx(188 / 255, abs=1e-3)
    assert red["c.ply"] == pytest.approx(0.503, abs=2e-3)


def test_colours_at_vertices_beside_a_material_are_multiplied_with_it():
    class Seen:
        kind, uv = "texture", None
        vertex_attributes = {"color": np.full((3, 4), 0.5)}  # noqa: RUF012

        class material:
            baseColorFactor = np.array([255, 0, 255, 255], np.uint8)

    class Flat:
        visual, vertices = Seen, np.zeros((3, 3))

    colour, _, material, picture = user_meshes._surface(Flat, np.array([[0, 1, 2]]), linear=True)
    assert picture is None
    assert material.kind == materials.VERTEX
    assert colour[0].tolist() == pytest.approx([0.5, 0, 0.5])
