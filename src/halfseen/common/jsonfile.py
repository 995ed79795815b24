"""Strict JSON: bounded size and depth, no NaN, and typed look-ups whose errors name the key and the file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halfseen.common.errors import UserError, from_os_error, quote
from halfseen.common.files import write_text

# A camera file of 100,000 frames is about 80 MB; anything above this is no camera file.
MAX_JSON_BYTES = 256 * 1024 * 1024


def read_json(path: Path) -> Any:
    """Read a JSON file written by somebody else."""
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise UserError(
                f"{quote(path.name)} is too large",
                got=f"{size / 2**20:.0f} MiB",
                accepted=f"up to {MAX_JSON_BYTES / 2**20:.0f} MiB",
                do="Split the capture.",
            )
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise from_os_error(error, path) from error
    except UnicodeDecodeError as error:
        raise _not_json(path, f"bytes that are not UTF-8 at offset {error.start}") from error
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise _not_json(path, "lists nested too deeply") from error
    except ValueError as error:
        raise _not_json(path, str(error)) from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; NaN and infinity are refused, because no other reader accepts them."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def _no_constant(name: str) -> Any:
    raise ValueError(f"the number {name}")


def _not_json(path: Path, got: str) -> UserError:
    return UserError(
        f"{quote(path.name)} cannot be read as JSON",
        got=got,
        accepted="valid UTF-8 JSON with finite numbers",
        do="Write the file again.",
    )


@dataclass(frozen=True)
class Fields:
    """A JSON object together with its place, so that every complaint says where it is."""

    values: dict[str, Any]
    where: str

    @staticmethod
    def of(value: Any, where: str) -> Fields:
        if not isinstance(value, dict):
            raise _wrong_type(where, value, "an object {...}")
        return Fields(value, where)

    def __contains__(self, key: str) -> bool:
        return self.values.get(key) is not None

    def number(self, key: str, default: float | None = None) -> float:
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        return finite(value, f"{self.where}: '{key}'")

    def text(self, key: str, default: str | None = None) -> str:
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise _wrong_type(f"{self.where}: '{key}'", value, "a string")
        return value

    def items(self, key: str) -> list[Any]:
        value = self.values.get(key)
        if not isinstance(value, list):
            raise _wrong_type(f"{self.where}: '{key}'", value, "a list [...]")
        return value


def finite(value: Any, where: str) -> float:
    """A finite number, or the four-part error. `true` is not a number here."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(where, value, "a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise _wrong_type(where, "an integer beyond 64-bit floats", "a finite number") from error
    if not math.isfinite(number):
        raise _wrong_type(where, value, "a finite number")
    return number


def _wrong_type(where: str, value: object, accepted: str) -> UserError:
    got = "nothing" if value is None else quote(value)
    return UserError(f"{where} is not usable", got=got, accepted=accepted, do="Correct the file.")
