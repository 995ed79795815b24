"""Which objects a training learns from and is judged by: of worlds, or of a folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from halfseen.methods.nerfdiff.data_sets import Folder, of_folder
from halfseen.methods.nerfdiff.training_config import Config
from halfseen.worlds.objects import Made, Order, of_world


def to_learn_from(config: Config, views: int) -> Callable[[int], Made]:
    """Makes objects by number, with so many views each."""
    if config.data:
        return partial(of_folder, Folder(config.data, config.size, views, "train", None, config.layout))
    return partial(of_world, Order(config.families, config.size, views, config.layout, "train"))


def to_be_judged_by(config: Config, views: int, only: tuple[int, ...]) -> Callable[[int], Made]:
    """Makes held-out objects by number: `only` some of the views of SRN's test spiral."""
    if config.held_out:
        return partial(of_folder, Folder(config.held_out, config.size, views, "held-out", only, "srn-test"))
    return partial(of_world, Order(kinds(config), config.size, views, "srn-test", "validation", only))


def kinds(config: Config) -> tuple[str, ...]:
    """The families of worlds, each once."""
    return tuple(dict.fromkeys(config.families))
