"""What changes in the folders that a contract asks for: each change is one effect, with a before and an after.

A file that is published is written under another name, synced and renamed: what a crash leaves behind is decided by
which of these had been done. Seen are write, rename, link, unlink and fsync, with their variants; a name in a watched
folder decides, of two the new one. The creation of a file is no boundary. Of a file's writes only the first two are:
before the first it is there and empty, before the second it is torn, and dead at a later one it is torn as well. Not
seen: what reaches a file by sendfile, copy_file_range or a memory map.

A change that has a before is made by the process itself. For its after it is made here in the process's place, so that
it is done and the process does not know it.
"""

import ctypes
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from harness.boundaries.notifications import Call
from harness.boundaries.processes import Memory, descriptor_link, duplicate
from harness.boundaries.stable import stable
from harness.boundaries.user_notify import (
    FDATASYNC,
    FSYNC,
    LINK,
    LINKAT,
    PWRITE,
    RENAME,
    RENAMEAT,
    RENAMEAT2,
    UNLINK,
    UNLINKAT,
    WRITE,
    WRITEV,
)

_HERE = 0xFFFFFF9C  # AT_FDCWD as the kernel takes it, in 32 bits
_FOLLOW = 0x400  # AT_SYMLINK_FOLLOW
_A_FOLDER = 0x200  # AT_REMOVEDIR
_ANYWHERE = -100
WRITES_SHOWN = 2
_TEMPORARY = re.compile(r"(?<=/tmp)[a-z0-9_]{8}(?=$|[./])")  # as Python's tempfile calls them


class Change(NamedTuple):
    """What a call is about to do; `make` does it in its place, and tells what the call is to return.

    :raises OSError: from `make`, as the call itself would have told it
    """

    folder: str
    name: str
    make: Callable[[], int]


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
        self._writes: Counter[str] = Counter()

    def reset(self) -> None:
        """Count the writes of each file from 1 again."""
        self._writes.clear()

    def write(self, memory: Memory, call: Call, path: str) -> Change | None:
        """One of the first writes into a file in a watched folder; None if this is none.

        :raises CannotReadError: what is to be written cannot be read
        """
        if call.number not in {WRITE, WRITEV, PWRITE} or (found := self._name("WRITE", path)) is None:
            return None
        self._writes[path] += 1
        if self._writes[path] > WRITES_SHOWN:
            return None
        return Change(*found, lambda: self._written(memory, call))

    @staticmethod
    def _written(memory: Memory, call: Call) -> int:
        """All of it, at the place where its writer stands."""
        with duplicate(call.pid, call.arguments[0] & 0xFFFFFFFF) as file:
            if call.number == PWRITE:
                _, address, size, offset, *_ = call.arguments
                return os.pwrite(file, memory.read(call.pid, address, size), offset)
            return os.write(file, memory.payload(call))

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
        return None if found is None else Change(*found, lambda: 0)

    def _name(self, verb: str, path: str) -> tuple[str, str] | None:
        for name, folder in self._folders.items():
            if path == folder or path.startswith(f"{folder}/"):
                return name, stable(f"{verb} {name}{_TEMPORARY.sub('*', path[len(folder) :])}")
        return None

    def _make(self, call: Call, old: str, new: str) -> int:
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
        return 0

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
