"""Numbers that tables make of cells."""

from __future__ import annotations

import pytest

from halfseen.bench import tables


def test_a_row_is_measured_by_its_own_base_too():
    """SWD beyond the floor as a share of the base's: (3 - 1) / (5 - 1); the aim of Difix3D+ reads it without a difference."""
    found = []
    for row, base, swd in (("base, gaussians", "", 5.0), ("plus, gaussians", "base, gaussians", 3.0)):
        metrics = {"psnr": 20.0 + 2 * (row[0] == "p"), "swd": swd, "swd_floor": 1.0}
        metrics |= {"psnr_unsharp": 19.0, "swd_unsharp": 2.5, "psnr_noise": 19.0, "swd_noise": 7.0}
        found.append({"row": row, "way": {"base": base}, "scene": "a", "seed": 0, "views": 3, "metrics": metrics})
    known = {c["row"]: c["metrics"] for c in tables.normalised(found)}
    assert known["plus, gaussians"]["swd_of_base"] == pytest.approx(0.5)
    assert "swd_of_base" not in known["base, gaussians"]
    aims = {a["aim"]: a for a in tables.aims(found)}
    share = next(a for name, a in aims.items() if "share of its base" in name)
    assert share["value"] == pytest.approx(0.5)
    assert share["met"]
    gain = next(a for name, a in aims.items() if "over its base, gaussians" in name)
    assert gain["value"] == pytest.approx(2.0)
    tricked = {n: next(a for name, a in aims.items() if n in name) for n in ("unsharp mask", "matched noise")}
    assert tricked["unsharp mask"]["value"] == pytest.approx(0.5), "sharpening the base comes nearer"
    assert not tricked["unsharp mask"]["met"]
    assert tricked["matched noise"]["value"] == pytest.approx(-4.0)
    assert tricked["matched noise"]["met"]


def test_depth_is_read_as_a_share_and_objects_apart_from_scenes():
    found = []
    for scene, masked in (("car-0", True), ("room-0", False)):
        for row, base, psnr, depth in (
            ("geometric", "", 20.0, 0.2),
            ("geometric + prior", "geometric", 21.0 + masked, 0.1),
        ):
            metrics = {"psnr": psnr, "depth_abs_rel": depth} | ({"psnr_masked": 1.0} if masked else {})
            found.append({"row": row, "way": {"base": base}, "scene": scene, "seed": 0, "views": 3, "metrics": metrics})
    aims = {a["aim"]: a for a in tables.aims(found)}
    assert aims["geometric + prior over geometric, PSNR in dB, objects alone"]["value"] == pytest.approx(2.0)
    assert aims["geometric + prior over geometric, PSNR in dB, scenes alone"]["value"] == pytest.approx(1.0)
    share = aims["geometric + prior, depth error as a share of geometric's"]
    assert share["value"] == pytest.approx(0.5)
    assert share["met"]


def test_claims_of_objects_from_one_photo_are_read_as_their_aims_say():
    """Each number by its own row's base; cars and chairs apart; agreement beside what was sampled apart."""
    found = []
    for scene, gain in (("object-cars-0", 1.0), ("object-chairs-0", 2.0), ("mesh-folder-car", 3.0)):
        for row, base, psnr, flip, swd, residual in (
            ("pixelnerf", "", 18.0, 0.2, 4.0, None),
            ("feedforward", "pixelnerf", 18.0 + gain, 0.1, 3.0, None),
            ("sample-then-fit", "feedforward", 18.0, 0.1, 2.0, 0.04),
            ("ngd", "feedforward", 17.8 + gain, 0.08, 1.5, 0.01),
        ):
            metrics = {"psnr": psnr, "flip": flip, "swd": swd, "swd_floor": 1.0}
            metrics |= {} if residual is None else {"residual": residual}
            metrics |= {"psnr_unsharp": 19.0, "swd_unsharp": 1.2, "psnr_noise": 19.0, "swd_noise": 1.9}
            found.append({"row": row, "way": {"base": base}, "scene": scene, "seed": 0, "views": 1, "metrics": metrics})
    aims = {a["aim"]: a for a in tables.aims(found)}

    def value(words: str) -> float:
        return float(aims[words]["value"])

    assert value("NGD, SWD beyond the floor as a share of feed-forward's") == pytest.approx(0.25)
    assert value("NGD, FLIP as a share of feed-forward's") == pytest.approx(0.8)
    assert value("NGD beside feed-forward, PSNR in dB") == pytest.approx(-0.2)
    assert value("NGD over pixelNeRF, PSNR in dB, cars") == pytest.approx(0.8)
    assert value("feed-forward over pixelNeRF, PSNR in dB, chairs") == pytest.approx(2.0)
    assert value("NGD, what views differ in from the field as a share of sample-then-fit's") == pytest.approx(0.25)
    sharpened = aims["NGD over feed-forward with the tuned unsharp mask, SWD"]
    assert sharpened["value"] == pytest.approx(0.3)
    assert not sharpened["met"]
    assert aims["NGD over feed-forward with matched noise, SWD"]["met"]
