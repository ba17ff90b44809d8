"""Changes of names in the folders that a contract asks for: each is one effect, with a before and an after.

A file that is published is written under another name, synced and renamed: what a crash leaves behind is decided by
which of these had been done. Seen are rename, link, unlink and fsync, with their variants; a name in a watched folder
decides, of two the new one. What is written into a file is no boundary, nor is its creation.

A change that has a before is made by the process itself. For its after it is made here in the process's place, so that
it is done and the process does not know it.
"""

import ctypes
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from harness.boundaries.notifications import Call
from harness.boundaries.processes import Memory, descriptor_link
from harness.boundaries.stable import stable
from harness.boundaries.user_notify import (
    FDATASYNC,
    FSYNC,
    LINK,
    LINKAT,
    RENAME,
    RENAMEAT,
    RENAMEAT2,
    UNLINK,
    UNLINKAT,
)

_HERE = 0xFFFFFF9C  # AT_FDCWD as the kernel takes it, in 32 bits
_FOLLOW = 0x400  # AT_SYMLINK_FOLLOW
_A_FOLDER = 0x200  # AT_REMOVEDIR
_ANYWHERE = -100


class Change(NamedTuple):
    """What a call is about to do; `make` does it in its place.

    :raises OSError: from `make`, as the call itself would have told it
    """

    folder: str
    name: str
    make: Callable[[], None]


class _Paths(NamedTuple):
    """Where in a call's arguments its paths are: each after its folder's descriptor, or without one."""

    verb: str
    old: int
    new: int
    at: bool


_CALLS = {
    RENAME: _Paths("RENAME", 0, 1, at=False),
    RENAMEAT: _Paths("RENAME", 1, 3, at=True),
    RENAMEAT2: _Paths("RENAME", 1, 3, at=True),
    LINK: _Paths("LINK", 0, 1, at=False),
    LINKAT: _Paths("LINK", 1, 3, at=True),
    UNLINK: _Paths("UNLINK", 0, 0, at=False),
    UNLINKAT: _Paths("UNLINK", 1, 1, at=True),
}


class Folders:
    def __init__(self, folders: Mapping[str, str]) -> None:
        """`folders`: the path of each by its name; what is below it is watched, too."""
        self._folders = {name: os.path.normpath(path) for name, path in folders.items()}
        self._libc = ctypes.CDLL(None, use_errno=True)

    def change(self, memory: Memory, call: Call) -> Change | None:
        """What this call changes in a watched folder; None if nothing.

        :raises CannotReadError: its paths cannot be read
        """
        if not self._folders:
            return None
        if call.number in {FSYNC, FDATASYNC}:
            return self._sync(call)
        if (paths := _CALLS.get(call.number)) is None:
            return None
        old, new = (_path(memory, call, place, at=paths.at) for place in (paths.old, paths.new))
        found = self._name(paths.verb, new)
        if found is None:
            return None
        return Change(*found, lambda: self._make(call, old, new))

    def _sync(self, call: Call) -> Change | None:
        path = descriptor_link(call.pid, call.arguments[0] & 0xFFFFFFFF)
        found = self._name("FSYNC", path)
        # A process that dies loses nothing that it has written, synced or not.
        return None if found is None else Change(*found, lambda: None)

    def _name(self, verb: str, path: str) -> tuple[str, str] | None:
        for name, folder in self._folders.items():
            if path == folder or path.startswith(f"{folder}/"):
                return name, stable(f"{verb} {name}{path[len(folder) :]}")
        return None

    def _make(self, call: Call, old: str, new: str) -> None:
        arguments = call.arguments
        match _CALLS[call.number].verb:
            case "RENAME":
                flags = arguments[4] if call.number == RENAMEAT2 else 0
                self._call("renameat2", _ANYWHERE, os.fsencode(old), _ANYWHERE, os.fsencode(new), flags)
            case "LINK":
                Path(new).hardlink_to(Path(old).resolve() if self._follows(call) else old)
            case _ if call.number == UNLINKAT and arguments[2] & _A_FOLDER:
                Path(new).rmdir()
            case _:
                Path(new).unlink()

    @staticmethod
    def _follows(call: Call) -> bool:
        return call.number == LINKAT and bool(call.arguments[4] & _FOLLOW)

    def _call(self, name: str, *arguments: object) -> None:
        if getattr(self._libc, name)(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _path(memory: Memory, call: Call, place: int, *, at: bool) -> str:
    """As seen from here: of the caller's own folder, or of the one whose descriptor stands before the path."""
    text = memory.text(call.pid, call.arguments[place])
    if text.startswith("/"):
        return os.path.normpath(text)
    descriptor = call.arguments[place - 1] & 0xFFFFFFFF if at else _HERE
    base = _link(f"/proc/{call.pid}/cwd") if descriptor == _HERE else descriptor_link(call.pid, descriptor)
    return os.path.normpath(f"{base}/{text}")


def _link(path: str) -> str:
    return str(Path(path).readlink())
