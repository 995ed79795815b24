"""Difix3D+ from the command line: rebuild, render, repair pictures, improve runs and splats."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import as_bytes, cli, dotted

from halfseen import api
from halfseen.bench import claims, kinds, rows, scenes
from halfseen.cli.main import main
from halfseen.common.config import to_plain
from halfseen.data import transforms_write
from halfseen.data.capture import PictureArray
from halfseen.images import io
from halfseen.methods.difix3d import training
from halfseen.priors import weights
from halfseen.priors.ema import named
from halfseen.priors.networks import fixer_small


def run_cli(*arguments: object) -> None:
    assert cli(*arguments) == 0


QUICK = (
    "--max-size", "48", "--steps", "12", "--field", "gaussians", "--set", "fit.gaussians.start=300",
    "--set", "fit.gaussians.most=400", "--set", "updates.rounds=2", "--set", "updates.targets=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def fixer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained small fixer as a folder of weights: it changes little, but it changes."""
    cfg = training.Config(network=fixer_small.Config(widths=(16, 32), blocks=1, heads=2))
    folder = tmp_path_factory.mktemp("prior") / "fixer"
    facts = {"name": "tiny", "role": "fixer", "recipe": "fixer", "config": to_plain(cfg), "step": 0, "samples": 0}
    weights.save(folder, named(training.networks(cfg)), facts, "# tiny")
    return folder


@pytest.fixture(scope="module")
def rebuilt(still_life_folder: Path, fixer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of Difix3D+."""
    out = tmp_path_factory.mktemp("runs") / "plus"
    run_cli("reconstruct", still_life_folder, "--out", out, "--method", "difix3d", "--prior", f"fixer={fixer}", *QUICK,
        "--set", "guard.trial_share=0.5", "--set", "guard.strengths=[0.5, 1.0]")  # fmt: skip
    return out


def test_a_run_says_what_was_repaired(rebuilt: Path) -> None:
    config = json.loads((rebuilt / "config.json").read_text())
    assert config["request"]["variant"] == "plus"
    steps = [json.loads(line) for line in (rebuilt / "events.jsonl").read_text().splitlines()]
    last = [e for e in steps if e["event"] == "step"][-1]
    assert last["facts"]["prior_calls"] == 3 + 2 * 2
    assert any("made around the photos" in note for note in config["assumed"])
    assert last["facts"]["strength"] in (0.5, 1.0)
    assert 0 <= last["facts"]["accepted"] <= 1
    known = json.loads((rebuilt / "provenance.json").read_text())
    assert known["priors"]
    assert "follows the prior" in known["invented"]


def test_pictures_are_repaired_unless_somebody_says_no(rebuilt: Path, fixer: Path, tmp_path: Path) -> None:
    shown = {}
    for name, more in (("as-it-is", ()), ("fixed", ("--fix",)), ("plain", ("--no-fix",))):
        run_cli("render", rebuilt, "--orbit", "1", "--size", "32", "--out", tmp_path / name, *more)
        shown[name] = io.read(tmp_path / name / "rgb" / "00000.png")
    assert not torch.equal(shown["fixed"], shown["plain"])
    assert not torch.equal(shown["as-it-is"], shown["plain"])
    told = {n: json.loads((tmp_path / n / "provenance.json").read_text()) for n in shown}
    assert "repaired_by" not in told["as-it-is"]
    assert told["plain"]["repaired_by"] == []
    assert told["fixed"]["repaired_by"] == told["as-it-is"]["priors"]


def test_any_run_can_be_repaired_and_improved(
    still_life_folder: Path, fixer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain"
    run_cli("reconstruct", still_life_folder, "--out", plain, "--max-size", "48", "--steps", "20", "--field", "gaussians",
        "--set", "gaussians.start=300", "--set", "gaussians.most=400")  # fmt: skip
    run_cli("render", plain, "--orbit", "1", "--size", "32", "--out", tmp_path / "as-it-is")
    run_cli("render", plain, "--orbit", "1", "--size", "32", "--out", tmp_path / "fixed", "--fix", "--fixer", fixer)
    first, second = (io.read(tmp_path / n / "rgb" / "00000.png") for n in ("as-it-is", "fixed"))
    assert not torch.equal(first, second)
    known = json.loads((tmp_path / "fixed" / "provenance.json").read_text())
    assert known["priors"] == []
    assert [f["name"] for f in known["repaired_by"]] == [fixer.name]
    run_cli("export", plain, "--to", tmp_path / "scene.ply")
    few = ("--steps", "6", "--prior", f"fixer={fixer}", "--set", "updates.rounds=1", "--set", "updates.targets=2")
    for source in (plain, tmp_path / "scene.ply"):
        capsys.readouterr()
        out = tmp_path / f"better-{source.stem}"
        run_cli("improve", source, "--capture", still_life_folder, "--out", out, *few)
        assert "before" in capsys.readouterr().out
        found = json.loads((out / "improved.json").read_text())
        held = source == plain
        assert found["views"] == ("held-out" if held else "inputs")
        sizes = [json.loads((p / "config.json").read_text())["work_sizes"] for p in (plain, out)]
        assert not held or sizes[0] == sizes[1]
        # A good start is not thrown away.
        assert found["after"]["psnr"] > found["before"]["psnr"] - 1
        config = json.loads((out / "config.json").read_text())
        assert f"goes on from {source}" in config["assumed"]
        assert json.loads((out / "provenance.json").read_text())["goes_on_from"] == str(source)
    run_cli(
        "improve",
        plain,
        "--out",
        tmp_path / "again",
        "--variant",
        "renders-only",
        *few,
        "--set",
        "guard.strengths=[0.0]",
    )
    decided = api.open_run(tmp_path / "again").load()[1]["repair"]
    assert float(decided["strength"]) == 0, "what was decided is kept even where nothing is taught"
    other = tmp_path / "other"
    other.mkdir()
    transforms_write.write(as_bytes(dotted(size=(48, 36))), other)
    assert main(["improve", str(plain), "--capture", str(other), "--out", str(tmp_path / "none")]) == 2
    assert "other files" in capsys.readouterr().err
    assert main(["render", str(plain), "--orbit", "1", "--out", str(tmp_path / "none"), "--fixer", str(fixer)]) == 2
    assert main(["improve", str(tmp_path / "scene.ply"), "--out", str(tmp_path / "none")]) == 2
    assert "--capture" in capsys.readouterr().err
    inverted = as_bytes(dotted(size=(48, 36)))
    views = tuple(replace(v, image=PictureArray(1 - v.image.read()[..., :3])) for v in inverted.views)
    strange = tmp_path / "strange"
    strange.mkdir()
    transforms_write.write(replace(inverted, views=views), strange)
    assert (
        main(["improve", str(tmp_path / "scene.ply"), "--capture", str(strange), "--out", str(tmp_path / "none")]) == 2
    )
    assert "do not show what the photos show" in capsys.readouterr().err


def test_repaired_views_look_from_where_they_are_told(
    still_life_folder: Path, fixer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = still_life_folder / "transforms.json"
    run_cli("reconstruct", still_life_folder, "--out", tmp_path / "run", "--method", "difix3d", "--prior", f"fixer={fixer}",
        *QUICK, "--set", "guard.trials=0", "--target-poses", wanted)  # fmt: skip
    run = api.open_run(tmp_path / "run")
    assert len(run.config["method"]["targets"]) == 5
    assert any("5 cameras that were given" in note for note in run.config["assumed"])
    lesson = run.load()[1]["lesson"]
    assert lesson["rgb"].shape[0] == 5
    asked = ["reconstruct", str(still_life_folder), "--out", str(tmp_path / "no"), "--target-poses", str(wanted)]
    assert main([*asked, "--method", "plain"]) == 2
    assert "difix3d" in capsys.readouterr().err


def test_pictures_of_anybody_are_repaired_beside_the_photo_most_like_them(fixer: Path, tmp_path: Path) -> None:
    (tmp_path / "renders").mkdir()
    (tmp_path / "photos").mkdir()
    rng = torch.Generator().manual_seed(0)
    for i in range(2):
        small = torch.rand(6, 8, 3, generator=rng).repeat_interleave(8, 0).repeat_interleave(8, 1)
        io.write_png(tmp_path / "photos" / f"photo-{i}.png", small)
        io.write_png(tmp_path / "renders" / f"view-{i}.png", (0.5 * small + 0.1)[:45, :61])
    run_cli(
        "fix", tmp_path / "renders", "--reference", tmp_path / "photos", "--out", tmp_path / "out", "--prior", fixer
    )
    rows = json.loads((tmp_path / "out" / "fixed.json").read_text())["pictures"]
    assert [r["references"] for r in rows] == [["photo-0.png"], ["photo-1.png"]]
    assert io.read(tmp_path / "out" / "view-0.png").shape == (45, 61, 3)
    assert all(r["changed"] > 0 and r["expected_error"] > 0 for r in rows)
    run_cli("fix", tmp_path / "renders" / "view-0.png", "--out", tmp_path / "alone", "--prior", fixer)
    assert json.loads((tmp_path / "alone" / "fixed.json").read_text())["pictures"][0]["references"] == []
    (tmp_path / "empty").mkdir()
    assert main(["fix", str(tmp_path / "empty"), "--out", str(tmp_path / "x"), "--prior", str(fixer)]) == 2


def test_pairs_are_made_once_and_learned_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pairs"
    asked = ("prior", "pairs", "--out", out, "--count", "2", "--families", "clevr", "--strategies", "underfit", "--fields",
        "gaussians", "--steps", "8", "--size", "48", "40")  # fmt: skip
    run_cli(*asked)
    document = json.loads((out / "pairs.json").read_text())
    assert len(document["train"]) > 0
    times = {p: p.stat().st_mtime_ns for p in out.rglob("*.png")}
    run_cli(*asked)
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.png")} == times


def test_many_captures_are_rebuilt_once(
    still_life_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"steps": 3, "max_size": 32, "field": "gaussians"}
    entries = [{"capture": str(still_life_folder), "name": n, **few} for n in ("a", "b")]
    (tmp_path / "list.json").write_text(json.dumps([*entries, {"capture": "nowhere", "name": "c"}]))
    asked = [
        "batch",
        str(tmp_path / "list.json"),
        "--out",
        str(tmp_path / "runs"),
        "--views",
        "2",
        "--workers",
        "2",
        "--method",
        "plain",
    ]
    assert main(asked) == 2
    assert "c failed" in capsys.readouterr().err
    rows = {r["name"]: r for r in json.loads((tmp_path / "runs" / "batch.json").read_text())["runs"]}
    assert [rows[n]["state"] for n in "abc"] == ["done", "done", "failed"]
    assert rows["a"]["psnr_held_out"] == rows["b"]["psnr_held_out"]
    (tmp_path / "list.txt").write_text(f"# one\n{still_life_folder}\n")
    assert main(["batch", str(tmp_path / "list.txt"), "--out", str(tmp_path / "more"), "--views", "2", "--steps", "2",
        "--max-size", "32", "--field", "gaussians", "--method", "plain"]) == 0  # fmt: skip
    assert main(asked) == 2
    rows = {r["name"]: r for r in json.loads((tmp_path / "runs" / "batch.json").read_text())["runs"]}
    assert [rows[n]["state"] for n in "abc"] == ["was there", "was there", "failed"]
    few_options = ("--views", "2", "--steps", "2", "--max-size", "32", "--field", "gaussians", "--method", "plain")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one").symlink_to(still_life_folder)
    monkeypatch.chdir(tmp_path / "folder")
    run_cli("batch", ".", "--out", tmp_path / "all", *few_options)
    assert (tmp_path / "all" / "one" / "metrics.json").is_file()
    (tmp_path / "list.json").write_text(json.dumps([{"capture": "x", "stepz": 3}]))
    assert main(asked) == 2
    assert "stepz" in capsys.readouterr().err


@pytest.mark.parametrize("field", ["hashgrid", "triplane"])
def test_every_kind_of_field_is_taught(field: str, still_life_folder: Path, fixer: Path, tmp_path: Path) -> None:
    small = (
        "fit.work=8000", "fit.least_rays=64", "fit.hashgrid.levels=3", "fit.hashgrid.finest=32",
        "fit.hashgrid.log2_entries=10", "fit.triplane.side=16", "updates.rounds=2", "updates.targets=2", "guard.trials=0",
    )  # fmt: skip
    run_cli("reconstruct", still_life_folder, "--out", tmp_path / "run", "--method", "difix3d", "--field", field, "--steps",
        "8", "--max-size", "32", "--prior", f"fixer={fixer}", *(a for s in small for a in ("--set", s)))  # fmt: skip
    run = api.open_run(tmp_path / "run")
    assert run.finished
    step, state = run.load()
    assert step == 8
    assert state["lesson"]["rgb"].shape[0] == 2
    run_cli("report", tmp_path / "run", "--out", tmp_path / "r.html")
    assert "What the prior did" in (tmp_path / "r.html").read_text()


def test_one_fit_serves_the_rows_with_and_without_the_last_pass(
    fixer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(kinds.SCENES.tiers, "quick", kinds.Settings((3,), (0,), 32, 12, 1))
    monkeypatch.setattr(scenes, "WORLDS", {"car-0": ("cars", 0, "hemisphere", (32, 32))})
    monkeypatch.setattr(scenes, "WORLD_VIEWS", 5)
    how = (
        f"prior={fixer}",
        "updates.targets=2",
        "guard.strengths=[1.0]",
        "fit.gaussians.start=300",
        "fit.gaussians.most=400",
    )
    with_pass = rows.Row("with", "difix3d", "plus", how, "gaussians", also="without")
    without = rows.Row("without", "difix3d", "progressive", how, "gaussians")
    monkeypatch.setitem(rows.ROWS, "difix3d", (with_pass, without))
    cells = [c for c in claims.cells("quick", None, "difix3d") if c.row in (with_pass, without)]
    claims.compute(cells[0], tmp_path / "together", None, lambda done, parts: None)
    claims.compute(cells[1], tmp_path / "alone", None, lambda done, parts: None)
    both = {c["row"]: c["metrics"]["psnr"] for c in claims.read(cells, tmp_path / "together")}
    assert set(both) == {"with", "without"}
    assert both["with"] != both["without"]
    assert claims.read(cells, tmp_path / "alone")[0]["metrics"]["psnr"] == pytest.approx(both["without"], abs=1e-4)


def test_rows_that_share_a_fit_differ_in_the_last_pass_alone() -> None:
    shared = [(row, rows.also_of(row)) for some in rows.ROWS.values() for row in some if row.also]
    assert shared
    for row, also in shared:
        assert also is not None
        one, other = (rows.config_of(r, 10) for r in (row, also))
        assert replace(one, post=False, fill=False) == replace(other, post=False, fill=False)
        assert (row.method, row.field) == (also.method, also.field)
