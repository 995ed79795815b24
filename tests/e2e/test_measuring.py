"""evaluate, compare, bench: numbers that name their protocol, and refusals to compare what was not measured alike."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import cli

import halfseen as hs
from halfseen.bench import claims, kinds, rows, scenes, speed, speed_objects, speed_splats, tables
from halfseen.bench.kinds import Settings
from halfseen.common.rng import generator
from halfseen.data import load as loading
from halfseen.data import normalise
from halfseen.export import measured
from halfseen.export.together import together
from halfseen.methods.plain.algorithm import METHOD
from halfseen.metrics import protocol
from halfseen.metrics.surfaces import Surface
from halfseen.poses import framing
from halfseen.worlds import families, sample, seeds

SMALL = tuple(
    word
    for setting in ("work=10000", "least_rays=128", "hashgrid.levels=4", "hashgrid.finest=64", "hashgrid.log2_entries=12", "hashgrid.occupancy.side=16")
    for word in ("--set", setting)
)  # fmt: skip


@pytest.fixture(scope="module")
def pair(still_life_folder, tmp_path_factory):
    """Two finished runs with one split, and one with another."""
    folder = tmp_path_factory.mktemp("measured")
    for name, views, variant in (("a", 3, "basic"), ("b", 3, "classic"), ("c", 2, "basic")):
        options = ("--views", views, "--variant", variant, "--steps", 40, *SMALL)
        assert cli("reconstruct", still_life_folder, "--out", folder / name, *options) == 0
    return folder


def test_evaluation_repeats_what_the_run_measured(pair, still_life_folder, capsys):
    capsys.readouterr()
    assert cli("evaluate", pair / "a", "--against", still_life_folder, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    stored = json.loads((pair / "a" / "metrics.json").read_text())["held_out"]
    # What is measured of all views together states its definitions besides.
    assert stored["protocol"].items() <= found["protocol"].items()
    assert found["mean"]["psnr"] == pytest.approx(stored["mean"]["psnr"], abs=1e-6)
    assert {r["view"] for r in found["rows"]} == set(stored["views"])
    assert found["mean"]["psnr"] == pytest.approx(np.mean([r["psnr"] for r in found["rows"]]))


def test_protocols_measure_other_views(pair, still_life_folder, capsys):
    whole = hs.load(still_life_folder)
    run = hs.open_run(pair / "a")
    counts = {name: hs.evaluate(run, whole, name)["count"] for name in ("held-out", "inputs", "all")}
    assert counts == {"held-out": len(whole) - 3, "inputs": 3, "all": len(whole)}
    assert hs.evaluate(run)["protocol"]["name"] == "inputs"
    assert cli("evaluate", pair / "a", "--protocol", "held-out") == 2
    assert "--against" in capsys.readouterr().err
    assert cli("evaluate", pair / "a", "--protocol", "x") == 2


def test_runs_are_compared_only_when_measured_alike(pair, capsys):
    capsys.readouterr()
    assert cli("compare", pair / "a", pair / "b", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [r["variant"] for r in rows] == ["basic", "classic"]
    assert all(r["psnr"] > 5 for r in rows)
    assert cli("compare", pair / "a", pair / "c") == 2
    assert "cannot be compared" in capsys.readouterr().err


def test_a_budget_becomes_steps(still_life_folder, tmp_path, capsys):
    assert cli("reconstruct", still_life_folder, "--out", tmp_path / "r", "--views", 3, "--budget", "2s", *SMALL) == 0
    steps = json.loads((tmp_path / "r" / "config.json").read_text())["method"]["steps"]
    assert 5 < steps < 900
    for bad in ("0s", "soon", "-1m"):
        assert cli("reconstruct", still_life_folder, "--out", tmp_path / "x", "--budget", bad) == 2
    assert not (tmp_path / "x").exists()


def test_claims_are_computed_once_and_are_functions_of_cells(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(kinds.SCENES.tiers, "quick", Settings((3,), (0,), 32, 20, 1))
    monkeypatch.setattr(scenes, "WORLDS", {"car-0": ("cars", 0, "hemisphere", (32, 32))})
    monkeypatch.setattr(scenes, "WORLD_VIEWS", 5)
    assert cli("bench", "claims", "--out", tmp_path, "--limit", 1) == 0
    assert len(list((tmp_path / "cells").iterdir())) == 1
    capsys.readouterr()
    assert cli("bench", "claims", "--out", tmp_path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [r["row"] for r in found["rows"]] == [r.name for r in rows.of_method("plain")]
    assert {"claim", "row", "scene", "views", "psnr", "ssim", "flip"} <= set(found["rows"][0])
    assert {r["row"] for r in found["controls"]} == set(tables.CONTROLS)
    assert all({"psnr", "swd"} <= set(r) for r in found["controls"])
    assert all(r["swd_floor"] > 0 for r in found["rows"])
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "cells").iterdir()}
    assert cli("bench", "claims", "--out", tmp_path) == 0
    assert "0 cells computed" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cells").iterdir()} == before
    value = found["rows"][1]["psnr"] - found["rows"][0]["psnr"]
    assert found["aims"][0]["value"] == pytest.approx(value, abs=2e-3)
    assert found["aims"][0]["met"] == (value >= 2)


def test_a_row_of_ones_own_is_read_beside_classic(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(kinds.SCENES.tiers, "quick", Settings((3,), (0,), 32, 20, 1))
    monkeypatch.setattr(scenes, "WORLDS", {"car-0": ("cars", 0, "hemisphere", (32, 32))})
    monkeypatch.setattr(scenes, "WORLD_VIEWS", 5)
    mine = ("--row", "dull=plain/basic/gaussians,lr_end=0.5")
    assert cli("bench", "claims", "--out", tmp_path, *mine, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    psnr = {r["row"]: r["psnr"] for r in found["rows"]}
    assert list(psnr) == ["plain basic", "plain classic", "dull"]
    gain = next(g for g in found["gains"] if g["number"] == "psnr")
    assert gain["beside"] == "plain classic"
    assert gain["value"] == pytest.approx(psnr["dull"] - psnr["plain classic"], abs=2e-3)
    for bad in ("dull", "=plain/basic", "a=plain/none", "a=plain/basic/clay", "a=plain/basic,nothing=1"):
        assert cli("bench", "claims", "--out", tmp_path, "--row", bad) == 2
    capsys.readouterr()
    assert cli("bench", "claims", "--out", tmp_path, "--rows", "plain basic", "--scenes", "car-0", "--json") == 0
    assert [r["row"] for r in json.loads(capsys.readouterr().out)["rows"]] == ["plain basic"]
    assert cli("bench", "claims", "--out", tmp_path, "--rows", "plain none") == 2
    ablated = claims.cells("quick", None, "diffusionerf", ablations=True)
    names = [(c.row.name, c.scene, c.claim) for c in ablated]
    assert len(set(names)) == len(names)
    known = {c.row.name for c in ablated}
    assert all(c.row.base in known for c in ablated if c.row.base)


def cells(differences):
    return [
        {"row": row, "scene": str(scene), "seed": 0, "views": 3, "metrics": {"psnr": psnr}}
        for scene, difference in enumerate(differences)
        for row, psnr in (("plain basic", 20.0), ("plain classic", 20.0 + difference))
    ]


def swd_cells(scene, base, other):
    found = {
        "psnr": 20.0,
        "swd_floor": 0.1,
        "swd_unsharp": 0.6,
        "psnr_unsharp": 19.5,
        "swd_noise": 0.9,
        "psnr_noise": 19.5,
    }
    return [
        {"claim": "c", "row": row, "scene": scene, "seed": 0, "views": 3, "seconds": 1.0, "commit": "x", "metrics": found | {"swd": swd}}
        for row, swd in (("plain basic", base), ("classic + prior", other))
    ]  # fmt: skip


def test_swd_is_normalised_by_the_base_row_and_must_beat_cheap_tricks():
    known = [*swd_cells("room", 1.1, 0.35), *swd_cells("flat", 0.1, 0.05)]
    found = {(r["row"], r["scene"]): r for r in tables.rows(known)}
    assert found["plain basic", "room"]["swd_normalised"] == 1
    assert found["classic + prior", "room"]["swd_normalised"] == pytest.approx(0.25)
    # A base row at the floor is no measure.
    assert "swd_normalised" not in found["classic + prior", "flat"]
    controls = {(r["row"], r["scene"]): r for r in tables.control_rows(known)}
    assert controls["tuned unsharp mask", "room"]["swd_normalised"] == pytest.approx(0.5)
    assert controls["matched noise", "room"]["swd_normalised"] == pytest.approx(0.8)
    assert controls["matched noise", "room"]["psnr"] == 19.5
    aims = {a["aim"]: a for a in tables.aims(known)}
    sharpened = next(a for words, a in aims.items() if "unsharp" in words)
    assert (sharpened["value"], sharpened["met"], sharpened["n"]) == (-0.25, True, 1)
    assert "| tuned unsharp mask | 3 | room |" in tables.markdown([*found.values(), *controls.values()], [])
    # Cells that were computed before SWD was stored have no such numbers.
    assert tables.controls(cells([1])) == []


def test_the_interval_of_a_paired_difference():
    value, low, high, count = tables.paired(cells([1, 2, 3, 2, 2]), "plain classic", "plain basic", "psnr", 3)
    assert (value, count) == (pytest.approx(2.0), 5)
    assert 1.2 < low < 2 < high < 2.8
    assert tables.paired(cells([2, 2, 2]), "plain classic", "plain basic", "psnr", 3)[1:3] == pytest.approx((2, 2))
    assert tables.paired(cells([1])[:1], "plain classic", "plain basic", "psnr", 3)[3] == 0


def test_speed_is_a_ratio_beside_the_twin(monkeypatch, capsys):
    for name, value in (
        ("SAMPLES", 4096),
        ("RAYS", 64),
        ("REPEATS", 1),
        ("CURVE_SAMPLES", (256,)),
        ("CURVE_SIDES", (8,)),
        ("CURVE_VIEWS", (3,)),
    ):
        monkeypatch.setattr(speed, name, value)
    small = {
        "COUNT": 300,
        "SIDE": 32,
        "FITTED": 300,
        "FITTED_SIZE": (32, 24),
        "CURVE_COUNTS": (200,),
        "CURVE_SIDES": (32,),
    }
    for name, value in small.items():
        monkeypatch.setattr(speed_splats, name, value)
    monkeypatch.setattr(speed_objects, "SIDES", (16,))
    assert cli("bench", "speed", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {"name", "ms", "twin_ms", "ratio"} <= set(found["rows"][0])
    assert all(r["ratio"] == pytest.approx(r["twin_ms"] / r["ms"]) for r in found["rows"])
    assert len(found["curves"]) == 10
    assert {"encode a photo (planes)", "a view (rival)", "a look of the denoiser"} <= {
        p["curve"] for p in found["curves"]
    }


# Machines are shared and these sizes are smaller than those that the aims were set at; a lost fast path has a ratio of about 1.
LENIENT = 1 / 3


def test_fast_paths_are_faster_than_their_twins(monkeypatch):
    for module, sizes in (
        (speed, {"SAMPLES": 16_384, "RAYS": 256, "REPEATS": 3}),
        (speed_splats, {"COUNT": 5000, "SIDE": 96, "FITTED": 300, "FITTED_SIZE": (32, 24), "REPEATS": 1}),
    ):
        for name, value in sizes.items():
            monkeypatch.setattr(module, name, value)
    aimed = {r.name: r for r in (*speed.rows(), *speed_splats.rows()) if r.aim is not None}
    assert set(aimed) == set(speed.AIMS)
    slow = {name: (r.ratio, r.aim) for name, r in aimed.items() if r.ratio < LENIENT * r.aim}
    assert slow == {}


def test_a_view_without_its_object_is_measured_by_what_it_has():
    picture = torch.rand(20, 24, 3, generator=generator(0, "p"))
    inside = torch.zeros(20, 24, dtype=torch.bool)
    inside[8:12, 8:12] = True
    pairs = [
        protocol.Pair("a", picture, picture.flip(0), inside),
        protocol.Pair("b", picture, picture.flip(1), torch.zeros(20, 24, dtype=torch.bool)),
    ]
    found = protocol.measure(pairs, protocol.Protocol("p", "s", None, "object"))
    assert found["undefined"]["psnr_masked"] == 1
    assert found["mean"]["psnr_masked"] == found["views"]["a"]["psnr_masked"]
    assert "psnr" in found["views"]["b"]


def test_held_out_views_are_those_of_the_runs_own_capture(pair, still_life_folder, tmp_path, capsys):
    """Another capture of as many views has no views that this run held out; all of it may be measured."""
    other = tmp_path / "other"
    shutil.copytree(still_life_folder, other)
    for name in ("000", "002", "004"):
        with Image.open(other / "images" / f"{name}.png") as photo:
            pixels = np.array(photo)
        Image.fromarray(255 - pixels).save(other / "images" / f"{name}.png")
    assert cli("evaluate", pair / "a", "--against", other) == 2
    assert "other files" in capsys.readouterr().err
    assert cli("evaluate", pair / "a", "--against", other, "--protocol", "all") == 0


def test_runs_of_other_photos_under_the_same_names_are_not_compared(pair, tmp_path, capsys):
    shutil.copytree(pair / "b", tmp_path / "b")
    metrics = json.loads((tmp_path / "b" / "metrics.json").read_text())
    metrics["held_out"]["photos"] = "0" * 64
    (tmp_path / "b" / "metrics.json").write_text(json.dumps(metrics))
    assert cli("compare", pair / "a", tmp_path / "b") == 2
    assert "same photos" in capsys.readouterr().err


def test_a_budget_ends_a_fit_and_is_not_changed_afterwards(still_life_folder, tmp_path, capsys):
    out = ("--out", tmp_path / "r", "--views", 3, *SMALL)
    assert cli("reconstruct", still_life_folder, *out, "--budget", "1h", "--steps", 3) == 0
    assert json.loads((tmp_path / "r" / "config.json").read_text())["method"]["steps"] == 3
    assert cli("reconstruct", still_life_folder, *out, "--budget", "9h", "--resume") == 0
    assert "note: --budget" in capsys.readouterr().err
    assert json.loads((tmp_path / "r" / "config.json").read_text())["method"]["steps"] == 3
    assert cli("reconstruct", *out, "--resume") == 2
    assert "--resume needs the capture too" in capsys.readouterr().err


def test_seeds_of_one_scene_are_no_more_scenes():
    once = cells([1, 2, 3])
    thrice = [c | {"seed": seed} for c in once for seed in (0, 1, 2)]
    assert tables.paired(thrice, "plain classic", "plain basic", "psnr", 3) == pytest.approx(
        tables.paired(once, "plain classic", "plain basic", "psnr", 3)
    )


def test_evaluation_says_what_it_could_not_measure(pair, still_life_folder, capsys):
    capsys.readouterr()
    assert cli("evaluate", pair / "a", "--against", still_life_folder, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    mean = found["mean"]
    assert mean["swd"] >= mean["swd_unsharp"] > 0
    assert mean["swd_floor"] >= 0
    assert mean["psnr_noise"] <= mean["psnr_unsharp"] + 0.01
    assert mean["swd_noise"] > 0
    assert 0 < mean["depth_abs_rel"] < 1
    assert 0 < mean["depth_ordering_error"] < 0.5
    assert mean["sharpness_ratio"] > 0
    # The still life is some three units wide.
    assert 0 < mean["chamfer_relative"] < mean["chamfer"] < 2
    # So short a fit is fog before each camera, of which no other camera sees anything.
    assert "reprojection: no two measured views overlap" in found["absent"]
    assert {"swd", "swd_floor", "unsharp", "noise", "depth", "chamfer"} <= set(found["protocol"])
    assert any(s.startswith("LPIPS: no weights") for s in found["absent"])
    assert any(s.startswith("FID and KID: no weights") for s in found["absent"])
    assert cli("evaluate", pair / "a", "--lpips", "alex=nothing") == 2
    assert "alex=BACKBONE,HEADS" in capsys.readouterr().err
    assert cli("evaluate", pair / "a", "--lpips", "alex=nowhere.pth,heads.pth") == 2


def test_sets_ask_nothing_where_a_photo_is_not_valid(pair, still_life_folder, tmp_path):
    """Photos that are the run's own renderings inside a mask, and black outside it, as undistorted photos are: no distance."""
    run = hs.open_run(pair / "a")
    folder = tmp_path / "bent"
    shutil.copytree(still_life_folder, folder)
    (folder / "masks").mkdir()
    document = json.loads((folder / "transforms.json").read_text())
    valid = np.zeros((36, 48), np.uint8)
    valid[:, 12:] = 255
    for frame, rendered in zip(document["frames"], hs.render(run, hs.load(still_life_folder).cameras()), strict=True):
        pixels = (rendered.rgb.clamp(0, 1).numpy() * 255).round().astype(np.uint8)
        Image.fromarray(pixels * (valid[..., None] > 0)).save(folder / frame["file_path"])
        frame["mask_path"] = f"masks/{Path(frame['file_path']).stem}.png"
        Image.fromarray(valid).save(folder / frame["mask_path"])
    (folder / "transforms.json").write_text(json.dumps({**document, "mask_role": "valid"}))
    found = hs.evaluate(run, hs.load(folder), "all")
    assert found["mean"]["psnr_valid"] > 45
    assert found["mean"]["swd"] < 0.02
    assert "SWD" in found["protocol"]["not_valid"]


def test_what_is_right_in_every_view_is_right_in_all_of_them_together(still_life_folder):
    """The photos and true depths themselves as renderings: nothing to find at any distance, and neighbours agree."""
    views = loading.load(hs.load(still_life_folder), 48).views
    pairs = [protocol.Pair(v.name, v.image.read(), v.image.read()) for v in views]
    depths = [torch.as_tensor(v.depth.read()).float() for v in views]
    shown = [Surface(v.camera, v.image.read(), d, d) for v, d in zip(views, depths, strict=True)]
    found = together(measured.Measured({}, pairs, shown, 1.0))
    assert found.numbers["swd"] == found.numbers["chamfer"] == 0
    # What one view hides from its neighbour, and the edges of things, a few percent.
    assert found.numbers["reprojection_consistent"] > 0.75
    assert found.numbers["reprojection_contradicted"] < 0.1
    assert found.numbers["reprojection_colour_error"] < 0.05
    assert set(found.definitions) >= {"swd", "swd_floor", "unsharp", "noise", "chamfer", "reprojection"}


@pytest.mark.parametrize("field", ["hashgrid", "gaussians"])
def test_memory_is_estimated_within_a_quarter(still_life_folder, tmp_path, field):
    """In a process of its own, whose peak is its own; a fit with the default sizes."""
    command = [
        sys.executable,
        "-m",
        "halfseen",
        "reconstruct",
        str(still_life_folder),
        "--out",
        str(tmp_path / "r"),
        "--steps",
        "40",
        "--field",
        field,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = re.search(r"and (\d+) MiB, of which", done.stderr)
    assert said is not None, done.stderr
    peak = json.loads((tmp_path / "r" / "metrics.json").read_text())["peak_memory_mib"]
    assert float(said[1]) == pytest.approx(peak, rel=0.25)


# PSNR of held-out views after 150 steps, as it was when these numbers were frozen, by variant, field and whether the photos come with
# depth maps: users' photos come without, and are framed by stereo.
FROZEN = {
    ("basic", "hashgrid", True): 17.06,
    ("classic", "hashgrid", True): 18.98,
    ("classic", "gaussians", True): 20.75,
    ("classic", "gaussians", False): 22.02,
}


@pytest.mark.parametrize(("variant", "kind", "depth"), sorted(FROZEN))
def test_plain_is_not_worse_than_when_it_was_frozen(variant, kind, depth):
    """A drop of more than 0.2 dB is a regression of the baseline that every prior is measured against."""
    capture = sample.capture(
        families.by_name("rooms"), seeds.seed_of("validation", 0), layout="forward", views=8, size=(96, 72)
    )
    loaded = loading.load(capture.select((0, 3, 7)), 96)
    if not depth:
        loaded = replace(loaded, views=tuple(replace(v, depth=None) for v in loaded.views))
    frame = framing.measure(loaded)
    cfg = METHOD.resolve(replace(METHOD.variants[variant], steps=150), loaded, kind)
    boxed = normalise.move(loaded, frame.to_box)
    for snapshot in METHOD.reconstruct(boxed, frame.to_box.inverse(), cfg, 0, device=torch.device("cpu")):
        field = snapshot.field
    found = measured.measure(field, capture.select((1, 2, 4, 5, 6)), 96, (1.0, 1.0, 1.0), "frozen", "ids")
    assert found.numbers["mean"]["psnr"] > FROZEN[variant, kind, depth] - 0.2
