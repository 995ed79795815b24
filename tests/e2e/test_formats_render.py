"""What is rendered at a photo's pose agrees with that photo, whatever format the capture came in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import SMALL_FIT, cli

import halfseen as hs
from halfseen.data import formats
from halfseen.data.load import load
from halfseen.metrics.image import psnr

# Formats that carry poses.
POSED = [n for n in formats.names() if n not in ("photos", "video")]


def _agrees(folder: Path, tmp_path: Path, cameras: Path) -> None:
    """Fit all photos, render at the cameras of a user-frame file: each picture fits its own photo best, and only unshifted."""
    assert (
        cli("reconstruct", folder, "--out", tmp_path / "run", "--steps", 300, *SMALL_FIT, "--view-ids", "0,1,2,3,4")
        == 0
    )
    assert cli("render", tmp_path / "run", "--cameras", cameras, "--out", tmp_path / "frames") == 0
    photos = [v.image.read()[..., :3] for v in load(hs.load(folder), 48).views]
    frames = json.loads(cameras.read_text())["frames"]
    assert len(frames) == len(photos)
    for i, photo in enumerate(photos):
        shown = torch.from_numpy(np.asarray(Image.open(tmp_path / "frames" / "rgb" / f"{i:05d}.png"), np.float32) / 255)
        scores = {
            (dx, dy): psnr(torch.roll(shown, (dy, dx), (0, 1))[3:-3, 3:-3], photo[3:-3, 3:-3])
            for dx in (-2, 0, 2)
            for dy in (-2, 0, 2)
        }
        assert max(scores, key=scores.__getitem__) == (0, 0), (i, scores)
        assert psnr(torch.flip(shown, (1,)), photo) < scores[0, 0] - 2


@pytest.mark.parametrize("name", POSED)
def test_renders_agree_with_the_photos_of_every_format(name: str, still_life_folder: Path, tmp_path: Path) -> None:
    assert cli("data", "convert", still_life_folder, "--to", name, "--out", tmp_path / "c") == 0
    # The user's frame, as an independent writer states it: the same capture as transforms.json.
    assert cli("data", "convert", tmp_path / "c", "--to", "transforms", "--out", tmp_path / "t") == 0
    _agrees(tmp_path / "c", tmp_path, tmp_path / "t" / "transforms.json")
