"""The whole road on a tiny still life: fit, resume to the same bytes, render in the user's frame, in line with the photos."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from support import SMALL_FIT, checkpoint, cli

import halfseen as hs
from halfseen.common.errors import UserError
from halfseen.data import normalise
from halfseen.data.load import load
from halfseen.metrics.image import psnr

STEPS = 60
ALL = ("--view-ids", "0,1,2,3,4")


def fit(folder, out, *extra, steps=STEPS):
    return cli("reconstruct", folder, "--out", out, "--views", 3, "--steps", steps, *SMALL_FIT, *extra)


@pytest.fixture(scope="module")
def fitted(still_life_folder, tmp_path_factory):
    """A finished run on all five views."""
    out = tmp_path_factory.mktemp("fitted") / "run"
    assert cli("reconstruct", still_life_folder, "--out", out, "--steps", 400, *ALL, *SMALL_FIT) == 0
    return out


def test_the_run_folder_explains_itself(fitted):
    names = {p.name for p in fitted.iterdir()}
    assert {
        "config.json",
        "events.jsonl",
        "metrics.json",
        "provenance.json",
        "inputs",
        "checkpoints",
        "previews",
    } <= names
    assert not [p for p in fitted.rglob("*") if p.suffix in (".pkl", ".pt", ".pth", ".partial")]
    config = json.loads((fitted / "config.json").read_text())
    assert config["schema"] == 1
    assert config["request"]["method"] == "plain"
    provenance = json.loads((fitted / "provenance.json").read_text())
    assert len(provenance["inputs"]) == 5
    assert all(len(i["sha256"]) == 64 for i in provenance["inputs"])
    events = [json.loads(line)["event"] for line in (fitted / "events.jsonl").read_text().splitlines()]
    assert events[0] == "start"
    assert events[-1] == "finished"
    metrics = json.loads((fitted / "metrics.json").read_text())
    assert metrics["psnr_inputs"] > 17
    assert "psnr_held_out" not in metrics
    assert metrics["work_sizes"] == [[48, 36]]


def test_same_seed_same_bytes_and_another_seed_other_bytes(still_life_folder, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert fit(still_life_folder, tmp_path / name, "--seed", seed, steps=8) == 0
    assert checkpoint(tmp_path / "a") == checkpoint(tmp_path / "b")
    assert checkpoint(tmp_path / "a")["field.safetensors"] != checkpoint(tmp_path / "c")["field.safetensors"]


def test_resume_with_other_settings_is_refused(fitted, still_life_folder, capsys):
    assert cli("reconstruct", still_life_folder, "--out", fitted, "--steps", 401, *ALL, *SMALL_FIT, "--resume") == 2
    assert "steps=401" in capsys.readouterr().err
    assert cli("reconstruct", still_life_folder, "--out", fitted, "--steps", 400, *ALL, *SMALL_FIT) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("changed", ["photo", "camera"])
def test_resume_on_other_photos_or_cameras_is_refused(still_life_folder, tmp_path, capsys, changed):
    folder = tmp_path / "capture"
    shutil.copytree(still_life_folder, folder)
    assert fit(folder, tmp_path / "run", steps=4) == 0
    if changed == "photo":
        shutil.copyfile(folder / "images" / "001.png", folder / "images" / "002.png")
    else:
        document = json.loads((folder / "transforms.json").read_text())
        (folder / "transforms.json").write_text(json.dumps({**document, "fl_x": document["fl_x"] * 1.5}))
    assert fit(folder, tmp_path / "run", "--resume", steps=4) == 2
    assert "other photos" in capsys.readouterr().err


def test_held_out_photos_are_scored_and_shown(still_life_folder, tmp_path, capsys):
    assert fit(still_life_folder, tmp_path / "run", steps=40) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert sorted(metrics["held_out"]["views"]) == ["images/001.png", "images/003.png"]
    assert "held-out photos" in capsys.readouterr().out
    assert Image.open(tmp_path / "run" / "previews" / "held-out.png").size == (96, 72)


def test_resume_needs_only_the_run_and_something_to_resume(still_life_folder, tmp_path, capsys):
    assert cli("reconstruct", still_life_folder, "--out", tmp_path / "no", "--resume") == 2
    assert "is no run" in capsys.readouterr().err
    assert fit(still_life_folder, tmp_path / "run", "--seed", 3, steps=5) == 0
    (tmp_path / "run" / "metrics.json").unlink()
    assert cli("reconstruct", still_life_folder, "--out", tmp_path / "run", "--resume") == 0
    assert (tmp_path / "run" / "metrics.json").is_file()


def test_a_finished_run_is_not_run_again(fitted, still_life_folder):
    before = checkpoint(fitted)
    assert cli("reconstruct", still_life_folder, "--out", fitted, "--steps", 400, *ALL, *SMALL_FIT, "--resume") == 0
    assert checkpoint(fitted) == before


def test_renders_line_up_with_the_photos(fitted, still_life_folder, tmp_path):
    """Rendered through the command line at the capture's own cameras, every picture fits its photo best when not shifted."""
    out = tmp_path / "frames"
    assert cli("render", fitted, "--cameras", still_life_folder / "transforms.json", "--out", out) == 0
    photos = [v.image.read() for v in load(hs.load(still_life_folder), 48).views]
    for i, photo in enumerate(photos):
        render = torch.from_numpy(np.asarray(Image.open(out / "rgb" / f"{i:05d}.png"), np.float32) / 255)
        scores = {
            (dx, dy): psnr(torch.roll(render, (dy, dx), (0, 1))[2:-2, 2:-2], photo[2:-2, 2:-2])
            for dx in (-1, 0, 1)
            for dy in (-1, 0, 1)
        }
        assert max(scores, key=scores.get) == (0, 0), scores
        for shifted in (torch.flip(render, (0,)), torch.flip(render, (1,))):
            assert psnr(shifted, photo) < scores[(0, 0)] - 2


def test_what_a_render_folder_holds(fitted, tmp_path, still_life_folder):
    """Sizes, kinds and units of the contract; depth is in the capture's units and near the true depth where photos saw."""
    cameras = {
        "w": 40,
        "h": 30,
        "camera_angle_x": 0.8,
        "frames": json.loads((still_life_folder / "transforms.json").read_text())["frames"][:2],
    }
    (tmp_path / "c.json").write_text(json.dumps(cameras))
    assert cli("render", fitted, "--cameras", tmp_path / "c.json", "--out", tmp_path / "out") == 0
    for i in range(2):
        for kind in ("rgb", "alpha", "seen"):
            assert Image.open(tmp_path / "out" / kind / f"{i:05d}.png").size == (40, 30)
        depth = np.load(tmp_path / "out" / "depth" / f"{i:05d}.npy")
        assert depth.dtype == np.float32
        assert depth.shape == (30, 40)
        seen = np.asarray(Image.open(tmp_path / "out" / "seen" / f"{i:05d}.png"))
        assert set(np.unique(seen)) <= {0, 85, 170, 255}
        assert (seen == 255).mean() > 0.3
        # The camera stands 2.6 units from the table's middle.
        assert 1.5 < np.median(depth[12:20, 15:25]) < 4.0


def test_rendering_at_a_scaled_and_turned_capture_frame(still_life_folder, tmp_path):
    """The user's frame is the capture's: scaled by 100 and moved far away, depths and pictures follow."""
    from halfseen.cameras.similarity import Similarity
    from halfseen.data import normalise, transforms_write

    capture = hs.load(still_life_folder)
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    moved = normalise.move(capture, Similarity(100.0, turn, torch.tensor([1e5, 2e5, 300.0], dtype=torch.float64)))
    (tmp_path / "far").mkdir()
    transforms_write.write(moved, tmp_path / "far")
    assert fit(tmp_path / "far", tmp_path / "run", steps=150) == 0
    run = hs.open_run(tmp_path / "run")
    frame = next(iter(hs.render(run, moved.cameras()[0])))
    assert 150 < float(frame.depth[12:20, 18:30].median()) < 400
    photo = load(moved, 48).views[0].image.read()
    assert psnr(frame.rgb, photo) > psnr(torch.flip(frame.rgb, (1,)), photo) + 1


def test_orbits_videos_and_paths(fitted, still_life_folder, tmp_path):
    assert cli("render", fitted, "--orbit", 4, "--size", 64, "--out", tmp_path / "orbit", "--video") == 0
    assert Image.open(tmp_path / "orbit" / "rgb" / "00000.png").size == (64, 48)
    assert cli("render", fitted, "--cameras", tmp_path / "orbit" / "cameras.json", "--out", tmp_path / "again") == 0
    assert (tmp_path / "again" / "rgb" / "00002.png").read_bytes() == (
        tmp_path / "orbit" / "rgb" / "00002.png"
    ).read_bytes()
    assert len(list((tmp_path / "orbit" / "rgb").iterdir())) == 4
    assert (tmp_path / "orbit" / "video.mp4").stat().st_size > 500
    keys = still_life_folder / "transforms.json"
    assert cli("render", fitted, "--path", keys, "--frames", 3, "--out", tmp_path / "path") == 0
    assert len(list((tmp_path / "path" / "depth").iterdir())) == 3
    for extra in (("--fps", "nan"), ("--fps", "-3"), ("--fps", "0")):
        assert cli("render", fitted, "--orbit", 2, "--video", *extra, "--out", tmp_path / "none") == 2
    assert cli("render", fitted, "--path", keys, "--frames", 0, "--out", tmp_path / "none") == 2
    assert cli("render", fitted, "--out", tmp_path / "none") == 2
    assert cli("render", fitted, "--orbit", 0, "--out", tmp_path / "none") == 2
    assert cli("render", tmp_path, "--orbit", 3, "--out", tmp_path / "none") == 2
    assert not (tmp_path / "none").exists()


def test_objects_with_masks_stand_on_their_background(tmp_path):
    from halfseen.data import transforms_write
    from halfseen.worlds import still_life

    (tmp_path / "object").mkdir()
    transforms_write.write(
        still_life.capture(1, still_life.ring(6, (40, 30)), (0, 2, 4), masks=True), tmp_path / "object"
    )
    assert cli("reconstruct", tmp_path / "object", "--out", tmp_path / "run", "--steps", 400, *SMALL_FIT) == 0
    run = hs.open_run(tmp_path / "run")
    frame = next(iter(hs.render(run, run.capture().cameras()[0])))
    assert float(frame.rgb[0].mean()) > 0.93
    assert float(frame.alpha[0].mean()) < 0.2
    assert float(frame.depth[0].abs().max()) == 0
    assert int(frame.seen[0].max()) == 0


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (("--views", 99), "accepted: 1 to 5"),
        (("--view-ids", "0,77"), "0 to 4"),
        (("--view-ids", "a"), "numbers with commas"),
        (("--variant", "classic2"), "accepted: classic, basic"),
        (("--set", "nothing=1"), "accepted: steps, work"),
        (("--set", "hashgrid.levels=many"), "accepted: int"),
        (("--steps", 0), "1 or more"),
        (("--max-size", 2), "16 or more"),
        (("--device", "mps"), "accepted: auto, cpu"),
        (("--set", "work=-1"), "1 to"),
        (("--set", "hashgrid.levels=0"), "1 to"),
        (("--set", "hashgrid.features=3"), "1, 2, 4, 8"),
        (("--set", "steps=0"), "1 to"),
        (("--set", "lr_end=-1"), "out of range"),
        (("--set", "kind=triplane"), "--field"),
        (("--set", "stereo.sources=0"), "out of range"),
    ],
)
def test_wrong_arguments(still_life_folder, tmp_path, capsys, extra, sentence):
    assert cli("reconstruct", still_life_folder, "--out", tmp_path / "run", *extra) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_a_broken_fit_is_reported_and_not_repaired(still_life_folder, tmp_path, capsys):
    assert fit(still_life_folder, tmp_path / "run", "--set", "distortion=1e39", steps=5) == 2
    err = capsys.readouterr().err
    assert "the fit broke at step 1" in err
    assert "loss 'distortion' is" in err


def test_a_paused_generator_stands_still_and_previews_are_rendered_on_demand(still_life_folder):
    """Methods are generators: a viewer pauses, a test stops early, nobody is called back."""
    from halfseen.methods.plain.algorithm import METHOD
    from halfseen.runs.snapshot import Knobs

    capture = load(hs.load(still_life_folder), 48)
    frame = normalise.measure(capture)
    boxed = normalise.move(capture, frame.to_box)
    run = METHOD.reconstruct(
        boxed, frame.to_box.inverse(), METHOD.resolve(METHOD.config(), boxed, "hashgrid"), 0, device=torch.device("cpu")
    )
    steps = [next(run).step] + [run.send(Knobs(paused=p)).step for p in (False, True, True, False)]
    assert steps == [1, 2, 2, 2, 3]
    assert next(run).panels()["photo-render"].shape == (36, 96, 3)
    run.close()


def test_a_run_leaves_previews(fitted):
    assert list((fitted / "previews").glob("*.png"))


def test_one_to_four_steps(still_life_folder, tmp_path):
    for steps in (1, 2, 3, 4):
        assert fit(still_life_folder, tmp_path / str(steps), steps=steps) == 0


def test_a_black_mask_is_refused_before_anything_is_fitted(still_life_folder, tmp_path, capsys):
    from PIL import Image as Pictures

    folder = tmp_path / "capture"
    shutil.copytree(still_life_folder, folder)
    document = json.loads((folder / "transforms.json").read_text())
    document["frames"][0]["mask_path"] = "black.png"
    Pictures.new("L", (48, 36)).save(folder / "black.png")
    (folder / "transforms.json").write_text(json.dumps(document))
    assert fit(folder, tmp_path / "run") == 2
    assert "leaves nothing of the photo" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", ["config", "inputs", "tensors", "nothing"])
def test_damaged_runs_are_reported(still_life_folder, tmp_path, capsys, damage):
    from safetensors.torch import save_file

    run = tmp_path / "run"
    assert fit(still_life_folder, run, steps=3) == 0
    if damage == "config":
        (run / "config.json").write_text('{"schema": 1, "to_user": {}}')
    elif damage == "inputs":
        shutil.rmtree(run / "inputs")
    elif damage == "tensors":
        save_file({"density": torch.zeros(3)}, str(next(run.glob("checkpoints/*/field.safetensors"))))
    code = cli("render", run, "--orbit", 1, "--out", tmp_path / "frames")
    assert code == (0 if damage == "nothing" else 2), capsys.readouterr().err


def test_a_run_of_another_schema_is_refused(fitted, tmp_path):
    (tmp_path / "config.json").write_text('{"schema": 99, "to_user": {}}')
    with pytest.raises(UserError, match="schema '99'"):
        hs.open_run(tmp_path)
