"""Files that are whole or absent, and paths that stay inside their folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from halfseen.common.errors import UserError, quote

_HASH_CHUNK = 1 << 20


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: a reader sees the old bytes or the new ones, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with partial.open("wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8"))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under a hidden name beside `path` and give it its name only when the block ends well.

    An existing folder at `path` is refused unless it is empty, so nothing is ever mixed or overwritten.
    """
    path = Path(path).resolve()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(
            "the output exists already",
            got=quote(str(path)),
            accepted="a new or empty folder",
            do="Choose another --out, or remove it first.",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    partial.mkdir()
    try:
        yield partial
        if path.exists():
            path.rmdir()
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def inside(folder: Path, name: str, *, what: str) -> Path:
    """Resolve a path that a file names, and refuse it when it leaves `folder` (climbing, absolute, or through a link)."""
    if not name or "\x00" in name:
        raise UserError(
            f"{what} names no file",
            got=quote(name),
            accepted="a relative path inside the capture",
            do="Correct the file.",
        )
    root = folder.resolve()
    try:
        path = (folder / name.replace("\\", "/")).resolve()
        path.is_file()
    except (ValueError, RuntimeError, OSError) as error:
        raise UserError(
            f"{what} names no file",
            got=quote(name),
            accepted="a relative path inside the capture",
            do="Correct the file.",
        ) from error
    if path == root or not path.is_relative_to(root):
        raise UserError(
            f"{what} leaves the capture's folder",
            got=quote(name),
            accepted=f"a path inside {quote(str(folder))}",
            do="Copy the file into the folder (links that point outside are not followed).",
        )
    return path


def sha256(path: Path) -> str:
    """Hex digest of a file, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as f:
        while chunk := f.read(_HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
