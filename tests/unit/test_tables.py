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
