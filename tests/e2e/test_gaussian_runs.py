"""Gaussians through the command line: fit, resume to the same bytes, render, export, report, info."""

import html
import html.parser
import json
import os
import re
import shutil

import numpy as np
import pytest
import torch
import trimesh
from PIL import ExifTags, Image
from support import checkpoint, cli

import halfseen as hs
from halfseen.cameras.convert import swap_opengl
from halfseen.data import splat_files, transforms
from halfseen.data.load import load
from halfseen.export import report_page
from halfseen.metrics.image import psnr
from halfseen.runs.fields import load_field

SMALL = ("--set", "gaussians.start=1500", "--set", "gaussians.most=2500", "--set", "gaussians.grow_every=20")


@pytest.fixture(scope="module")
def fitted(still_life_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("gaussians") / "run"
    options = ("--field", "gaussians", "--views", 3, "--steps", 200, *SMALL)
    assert cli("reconstruct", still_life_folder, "--out", out, *options) == 0
    return out


def test_three_photos_become_a_scene(fitted, still_life_folder, tmp_path):
    metrics = json.loads((fitted / "metrics.json").read_text())
    assert metrics["psnr_inputs"] > 20
    assert metrics["psnr_held_out"] > 14
    assert cli("render", fitted, "--cameras", still_life_folder / "transforms.json", "--out", tmp_path / "f") == 0
    photos = [v.image.read() for v in load(hs.load(still_life_folder), 48).views]
    picture = torch.from_numpy(np.asarray(Image.open(tmp_path / "f" / "rgb" / "00000.png"), np.float32) / 255)
    assert psnr(picture, photos[0]) > psnr(picture.flip(1), photos[0]) + 4


@pytest.mark.parametrize("growth", ["default", "mcmc"])
def test_a_stopped_fit_goes_on_to_the_same_bytes(still_life_folder, tmp_path, growth, monkeypatch):
    """Stopped right after a checkpoint, in the midst of growth."""
    from functools import partial

    import halfseen.api.reconstruction as api
    from halfseen.runs import record

    monkeypatch.setattr(api, "record", partial(record.record, checkpoint_seconds=0.0))
    capture = hs.load(still_life_folder)
    settings = ("gaussians.start=600", "gaussians.most=900", "gaussians.grow_every=5", f"gaussians.growth={growth}")
    options = {"field": "gaussians", "views": 3, "steps": 40, "settings": settings, "max_size": 32}
    hs.reconstruct(capture, out=tmp_path / "whole", **options)

    class StopError(Exception):
        pass

    def stop(snapshot):
        if snapshot.step == 23:
            raise StopError

    with pytest.raises(StopError):
        hs.reconstruct(capture, out=tmp_path / "cut", on_snapshot=stop, **options)
    hs.reconstruct(capture, out=tmp_path / "cut", resume=True, **options)
    assert checkpoint(tmp_path / "cut") == checkpoint(tmp_path / "whole")


EXPORTS = ("s.ply", "s.splat", "m.mesh.ply", "m.glb", "m.obj", "o.mp4", "c.json", "colmap", "r.html")


@pytest.fixture(scope="module")
def exported(fitted, tmp_path_factory):
    """One of every kind of file that leaves a run."""
    out = tmp_path_factory.mktemp("exported")
    for name in EXPORTS:
        assert cli("export", fitted, "--to", out / name) == 0, name
    assert cli("render", fitted, "--orbit", 2, "--size", 32, "--out", out / "frames", "--video") == 0
    hs.render(hs.open_run(fitted), hs.orbit(hs.open_run(fitted), 2)).save(out / "saved.mp4")
    return out


def test_everything_that_leaves_a_run_says_where_it_came_from(fitted, exported, capsys):
    known = json.loads((fitted / "provenance.json").read_text())
    hashes = [i["sha256"][:12] for i in known["inputs"]]
    scale = f"scale {hs.open_run(fitted).to_user.scale:.6g}"
    version = f"made by halfseen {hs.__version__}: method plain classic, field gaussians, seed 0"
    for name in (*EXPORTS, "frames/video.mp4", "frames", "saved.mp4"):
        capsys.readouterr()
        assert cli("info", exported / name) == 0, name
        said = capsys.readouterr().out
        for words in (version, "from 3 photos (", *hashes, "priors: none", "the capture's own frame", scale):
            assert words in said, (name, words)
        assert re.search(r"of its (Gaussians|vertices|pixels|photos): \d+ % invented, \d+ % ", said), name


def test_exports_are_in_the_users_frame(fitted, exported, still_life_folder, capsys):
    splats = splat_files.read(exported / "s.ply")
    assert len(splats.xyz) == len(load_field(hs.open_run(fitted)))
    assert set(np.unique(splats.seen)) <= {0, 1, 2}
    # The still life stands at the origin of the capture's own frame, 2.6 units before its cameras.
    assert np.abs(np.median(splats.xyz, 0)).max() < 1.0
    assert len(trimesh.load(exported / "m.glb", force="mesh").faces) > 100
    ours = json.loads((exported / "c.json").read_text())["frames"][0]["transform_matrix"]
    first = transforms.read(still_life_folder).views[0].camera.c2w
    np.testing.assert_allclose(ours, swap_opengl(first)[0], atol=1e-6)
    assert cli("data", "check", exported / "colmap") == 0
    assert cli("export", fitted, "--to", exported / "s.ply") == 2
    assert cli("export", fitted, "--to", exported / "s.foo") == 2
    assert ".mesh.ply" in capsys.readouterr().err


class Page(html.parser.HTMLParser):
    """Collects tags, what would be fetched from elsewhere, and what a browser would run."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.outside, self.run = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.run += [k for k, v in attrs if k.startswith("on") or (v or "").startswith("javascript:")]
        self.run += [tag] if tag in ("script", "iframe", "object", "embed") else []
        self.outside += [v for k, v in attrs if k in ("src", "href") and not v.startswith("data:")]


def test_a_report_is_one_page_that_needs_nothing_else(fitted, tmp_path, capsys):
    assert cli("report", fitted, "--out", tmp_path / "r.html") == 0
    text = (tmp_path / "r.html").read_text()
    page = Page(text)
    assert page.outside == []
    assert page.run == []
    assert page.tags.count("video") == 1
    # Three photos with a rendering, a difference, depth and what photos saw; and the sheet of held-out ones.
    assert page.tags.count("img") == 3 * 6 + 1
    for wanted in ("dB", "invented", "seen by several photos", "step 200", "sha256"):
        assert wanted in text
    assert cli("report", fitted, "--out", tmp_path / "r.html") == 2
    assert "exists already" in capsys.readouterr().err


EVIL = '"--><img src=x onerror=alert(1)>'


def with_an_evil_photo(folder, out):
    """The capture with one photo whose name, and the maker of whose camera, would run if a page took them as they are."""
    shutil.copytree(folder, out)
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "<script>alert(2)</script>"
    Image.open(out / "images" / "000.png").save(out / "images" / f"{EVIL}.png", exif=exif)
    (out / "images" / "000.png").unlink()
    text = (out / "transforms.json").read_text()
    (out / "transforms.json").write_text(text.replace("images/000.png", json.dumps(f"images/{EVIL}.png")[1:-1]))
    return out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_of_files_are_escaped_in_a_report(still_life_folder, tmp_path):
    """The name of the run's folder, and that of a photo. EXIF is not kept with a run, so none of it is on the page."""
    capture, evil = with_an_evil_photo(still_life_folder, tmp_path / "capture"), tmp_path / EVIL
    options = ("--field", "gaussians", "--views", 3, "--steps", 2, "--max-size", 24, *SMALL)
    assert cli("reconstruct", capture, "--out", evil, *options) == 0
    assert cli("report", evil, "--out", tmp_path / "r.html") == 0
    assert cli("data", "check", capture, "--sheet", tmp_path / "s.html") == 0
    text = (tmp_path / "r.html").read_text()
    assert html.escape(f"images/{EVIL}.png") in text
    assert "alert(2)" not in text
    for name, pictures in (("r.html", 3 * 6 + 1), ("s.html", 5 + 3)):
        page = Page((tmp_path / name).read_text())
        assert (page.run, page.outside, page.tags.count("img")) == ([], [], pictures), name
    assert "<img src=x" not in text
    # Names of files in a run are tame already; the captions under its pictures do not rely on that.
    captions = Page(report_page.figures([("data:,", EVIL)]))
    assert (captions.run, captions.tags.count("img")) == ([], 1)


def test_a_nerf_is_baked_into_splats(still_life_folder, tmp_path, capsys):
    """What is lost is measured on views that were not fitted."""
    small = ("work=13000", "least_rays=128", "hashgrid.levels=4", "hashgrid.finest=128", "hashgrid.log2_entries=13")
    options = [word for s in small for word in ("--set", s)]
    fit = ("--out", tmp_path / "r", "--views", 3, "--variant", "basic", "--steps", 120)
    assert cli("reconstruct", still_life_folder, *fit, *options) == 0
    assert cli("export", tmp_path / "r", "--to", tmp_path / "s.ply") == 0
    said = capsys.readouterr().out
    assert float(said.split("PSNR ")[-1].split(" dB")[0]) > 24
    assert len(splat_files.read(tmp_path / "s.ply").xyz) > 1000
