"""The one error that users meet, and its four parts: what is wrong, what was got, what is accepted, what to do."""

from __future__ import annotations

import errno
from functools import partial
from pathlib import Path

EXIT_OK = 0
EXIT_BUG = 1
EXIT_USER = 2
EXIT_INTERRUPTED = 130

# Longest quotation of a user's value inside a message: enough to recognise it, never a screenful.
_MAX_QUOTE = 120


class UserError(Exception):
    """Something the person at the keyboard can mend. The command line prints it and exits with code 2."""

    def __init__(self, wrong: str, *, got: str, accepted: str, do: str) -> None:
        self.wrong, self.got, self.accepted, self.do = wrong, got, accepted, do
        super().__init__(f"{wrong}: got {got}; accepted: {accepted}. {do}")

    def __reduce__(self) -> tuple[object, ...]:
        """Errors of worker processes arrive whole."""
        return partial(UserError, self.wrong, got=self.got, accepted=self.accepted, do=self.do), ()


def quote(value: object) -> str:
    """Quote a user's value for a message: one line, printable, bounded."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else "?" for c in text)
    return f"'{text[: _MAX_QUOTE - 3]}...'" if len(text) > _MAX_QUOTE else f"'{text}'"


_OS_REASONS = {
    errno.ENOSPC: ("the disk is full", "free space or choose another --out"),
    errno.EDQUOT: ("the disk quota is used up", "free space or choose another --out"),
    errno.EACCES: ("no permission", "change the permissions or choose another path"),
    errno.EPERM: ("no permission", "change the permissions or choose another path"),
    errno.EROFS: ("the file system is read-only", "choose a path that can be written"),
    errno.ENOENT: ("no such file or folder", "check the path"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "check the path"),
    errno.EISDIR: ("it is a folder, not a file", "check the path"),
    errno.EEXIST: ("it exists already", "choose another path"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter path"),
    errno.ELOOP: ("links run in a circle", "replace the link by the real file"),
    errno.EMFILE: ("too many open files", "raise the limit of open files (ulimit -n)"),
}


def from_os_error(error: OSError, path: Path | str | None = None) -> UserError:
    """Turn an operating-system error into the four-part sentence."""
    reason, do = _OS_REASONS.get(error.errno or 0, (error.strerror or str(error), "check the path and the disk"))
    where = path if path is not None else (error.filename or "a file")
    return UserError(
        f"{quote(str(where))} cannot be used",
        got=reason,
        accepted="a path that can be read or written",
        do=_sentence(do),
    )


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
