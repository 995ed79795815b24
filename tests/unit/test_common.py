"""Errors, files, randomness, configuration, checkpoints, JSON."""

import dataclasses
import errno
import json
import math
import os
import pickle
from dataclasses import dataclass, field
from typing import Literal

import pytest
import torch

from halfseen.common import checkpoint, config, shapes
from halfseen.common.errors import UserError, from_os_error, quote
from halfseen.common.files import inside, new_folder, write_bytes
from halfseen.common.jsonfile import Fields, finite, read_json, write_json
from halfseen.common.rng import derive_seed, generator


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    sizes: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Outer:
    steps: int = 10
    name: str | None = None
    kind: Literal["a", "b"] = "a"
    on: bool = False
    inner: Inner = field(default_factory=Inner)


def test_an_error_is_one_sentence_of_four_parts():
    text = str(UserError("the lamp is off", got="darkness", accepted="light", do="Switch it on."))
    assert text == "the lamp is off: got darkness; accepted: light. Switch it on."


def test_quotes_are_short_and_printable():
    assert quote("a\nb\x1b[31m") == "'a?b?[31m'"
    assert len(quote("x" * 10_000)) < 130


def test_operating_system_errors_become_sentences():
    error = from_os_error(OSError(errno.ENOSPC, "No space left on device", "/data/x"))
    assert "disk is full" in str(error)
    assert "'/data/x'" in str(error)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with pytest.raises(TypeError):
        write_bytes(path, 3)  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]  # noqa: PTH208


def test_a_folder_appears_whole_or_not_at_all(tmp_path):

    def fail_halfway():
        with new_folder(tmp_path / "out") as partial:
            (partial / "half").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert list(tmp_path.iterdir()) == []
    with new_folder(tmp_path / "out") as partial:
        (partial / "whole").write_text("x")
    assert (tmp_path / "out" / "whole").is_file()
    with pytest.raises(UserError, match="exists already"), new_folder(tmp_path / "out"):
        pass


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "..\\x", "", "a\x00b"])
def test_paths_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(UserError):
        inside(tmp_path, name, what="test")


def test_links_that_leave_the_folder_are_refused(tmp_path):
    (tmp_path / "secret").write_text("x")
    folder = tmp_path / "capture"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "own").write_text("x")
    (folder / "good").symlink_to(folder / "own")
    with pytest.raises(UserError, match="leaves"):
        inside(folder, "link", what="test")
    assert inside(folder, "good", what="test").name == "own"


def test_generators_depend_on_seed_name_and_step_alone():
    draws = {
        torch.rand(1, generator=generator(*key)).item() for key in [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1)]
    }
    assert len(draws) == 4
    assert derive_seed(7, "plain", 3) == derive_seed(7, "plain", 3)
    assert torch.equal(torch.rand(3, generator=generator(5, "x", 2)), torch.rand(3, generator=generator(5, "x", 2)))


def test_config_round_trip():
    value = Outer(steps=3, name="n", kind="b", inner=Inner(0.5, (3,)))
    assert config.from_plain(Outer, json.loads(json.dumps(config.to_plain(value)))) == value


@pytest.mark.parametrize(
    ("assignment", "path", "expected"),
    [
        ("steps=20", "steps", 20),
        ("inner.rate=1", "inner.rate", 1.0),
        ("inner.sizes=[4,5]", "inner.sizes", (4, 5)),
        ("name=x", "name", "x"),
        ("on=true", "on", True),
    ],
)
def test_overrides_are_typed(assignment, path, expected):
    value = config.apply_overrides(Outer(), (assignment,))
    for part in path.split("."):
        value = getattr(value, part)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    "assignment",
    [
        "steps=1.5",
        "steps=many",
        "nothing=1",
        "inner=3",
        "inner.rate.x=1",
        "kind=c",
        "on=1",
        "steps",
        "=3",
        "inner.sizes=[1.5]",
    ],
)
def test_wrong_overrides_say_what_is_accepted(assignment):
    with pytest.raises(UserError, match="accepted"):
        config.apply_overrides(Outer(), (assignment,))


@dataclasses.dataclass(frozen=True)
class Pair:
    low: int = 1
    high: int = 2

    def __post_init__(self) -> None:
        config.within("low", self.low, 0, self.high)


@dataclasses.dataclass(frozen=True)
class Holds:
    pair: Pair = dataclasses.field(default_factory=Pair)


@pytest.mark.parametrize("order", [1, -1])
def test_settings_that_only_fit_together_can_be_changed_together(order):
    found = config.apply_overrides(Holds(), ("pair.low=7", "pair.high=9")[::order])
    assert found == Holds(Pair(7, 9))
    with pytest.raises(UserError, match="low is out of range"):
        config.apply_overrides(Holds(), ("pair.low=7",))
    # The later one counts, and a whole record takes back what was said of its parts.
    assert config.apply_overrides(Holds(), ("pair.high=5", "pair.high=6")).pair.high == 6
    assert config.apply_overrides(Holds(), ("pair.low=2", 'pair={"high":8}')) == Holds(Pair(1, 8))
    assert config.apply_overrides(Holds(), ('pair={"high":8}', "pair.low=3")) == Holds(Pair(3, 8))


def test_unknown_keys_in_a_stored_config_are_errors():
    with pytest.raises(UserError, match="unknown key"):
        config.from_plain(Outer, {"stepz": 3})


def test_configs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Outer().steps = 3  # type: ignore[misc]


def test_checkpoint_round_trip_and_damage(tmp_path):
    tensors = {"field": {"a": torch.arange(6.0).reshape(2, 3)}, "optimizer": {"m": torch.ones(2)}}
    checkpoint.save(tmp_path / "step-1", tensors, {"step": 1})
    groups, meta = checkpoint.load(tmp_path / "step-1")
    assert torch.equal(groups["field"]["a"], tensors["field"]["a"])
    assert meta["step"] == 1
    (tmp_path / "step-1" / "field.safetensors").write_bytes(b"short")
    with pytest.raises(UserError, match=r"field\.safetensors"):
        checkpoint.load(tmp_path / "step-1")


@pytest.mark.parametrize("text", ["{", "NaN", '{"a": Infinity}', "[" * 100_000, '{"a": 1e999}', "\xff"])
def test_broken_json_is_a_user_error(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError):
        finite(Fields.of(read_json(path), "x.json").values.get("a"), "a")


def test_numbers_are_numbers():
    for bad in (True, "3", None, [1], math.nan, 10**400):
        with pytest.raises(UserError):
            finite(bad, "here")
    with pytest.raises(ValueError, match="JSON"):
        write_json(__import__("pathlib").Path("never"), math.nan)


def test_shape_letters_are_checked():
    assert shapes.check(torch.zeros(2, 3, 3), "V 3 3", "x") == {"V": 2}
    for bad in (torch.zeros(2, 3), torch.zeros(2, 3, 4)):
        with pytest.raises(ValueError, match="expected"):
            shapes.check(bad, "V 3 3", "x")
    with pytest.raises(ValueError, match="expected"):
        shapes.check(torch.zeros(2, 3), "N N", "x")


def test_errors_cross_processes():
    error = pickle.loads(pickle.dumps(UserError("wrong", got="a", accepted="b", do="Mend it.")))
    assert isinstance(error, UserError)
    assert (str(error), error.do) == ("wrong: got a; accepted: b. Mend it.", "Mend it.")
