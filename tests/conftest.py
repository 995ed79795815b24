"""Shared fixtures: a seeded Hypothesis profile, one thread, a small still life on disk, the real captures when they are named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from halfseen.data import transforms_write
from halfseen.worlds import still_life

# Deterministic examples: a red run is red again.
settings.register_profile(
    "halfseen",
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("halfseen")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def still_life_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A still life of five views at 48x36, inputs 0, 2, 4, in transforms layout. Read only: copy it before changing it."""
    folder = tmp_path_factory.mktemp("world") / "still-life"
    folder.mkdir()
    transforms_write.write(still_life.capture(3, still_life.ring(5, (48, 36), 60.0), (0, 2, 4)), folder)
    return folder


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of real captures, or a visible skip."""
    named = os.environ.get("HALFSEEN_CAPTURES")
    if not named:
        pytest.skip("HALFSEEN_CAPTURES does not name the folder of real captures")
    return Path(named)
