"""A program: changes what the processes of one container see of their file systems, and nobody else.

`python -I mounts.py PID fill|protect|uncover PLACE ...`, as root of this machine. It enters the mount namespace of the
process, so that all of it is gone with the container, and covers folders with others. Standard library only, and all of
it imported before: behind the door is somebody else's.

* fill: there is no room for one more file in these folders (ENOSPC). What is there is the same file as before
* protect: nothing can be written there (EROFS)
* uncover: as it was before

They are covered at a moment when none of their files is open for writing, in whichever container: nobody is interrupted
in the midst of a transaction, and nothing is taken for lasting that somebody will have deleted when he is done with it
(what is filled shows the files that were there at that moment; a journal among them would be played back later). Who
wants to open one for writing just then waits for some milliseconds.

It ends with 0 once a file was tried and could not be made for that very reason; else with a line that says what is
wrong, and then nothing is changed.
"""

import ctypes
import errno
import fcntl
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

BUSY_SECONDS_MAX = 10.0
LOOK_SECONDS = 0.002
ENTRIES_MAX = 500
# Since Linux 5.2 and 5.12; newer than the tables of numbers that differ from one architecture to the next.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = 1, 4
_MOUNT_ATTR_RDONLY = 1
_MS_REMOUNT, _MNT_DETACH = 32, 2
_CLONE_NEWNS = 0x20000
_REASONS = {"fill": errno.ENOSPC, "protect": errno.EROFS}
_libc = ctypes.CDLL(None, use_errno=True)


class Attributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns"))


def main(pid: str, change: str, *places: str) -> str:
    """What is wrong; nothing if it is done."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # by which a holder of a lease is told that somebody waits
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mounts = {line.split()[4].replace("\\040", " ") for line in file}
    door = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    _done(_libc.setns(door, _CLONE_NEWNS), "enter the container")
    there = sorted(place for place in places if os.path.isdir(place))  # an outer one before those in it
    if change == "uncover":
        for place in reversed(there):
            uncover(place)
        return ""
    with ExitStack() as undo:
        for place in there:
            with quiet(place, mounts):
                (fill if change == "fill" else protect)(place, mounts)
                undo.callback(uncover, place)
        if wrong := wrong_unless(_REASONS[change], there):
            return wrong
        undo.pop_all()
    return ""


@contextmanager
def quiet(place: str, mounts: set[str]) -> Iterator[None]:
    """Meanwhile no file in there is open for writing; begins when that is so."""
    until = time.monotonic() + BUSY_SECONDS_MAX
    while True:
        with ExitStack() as leases:
            if is_leased(place, mounts, leases):
                yield
                return
        if time.monotonic() > until:
            raise OSError(errno.EBUSY, f"in {place} files are open for writing all the time")
        time.sleep(LOOK_SECONDS)


def is_leased(place: str, mounts: set[str], leases: ExitStack) -> bool:
    """Whether a read lease could be had on every file: the kernel gives none on what is open for writing."""
    files = regular_files(place, mounts)
    for path in files:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            leases.callback(os.close, descriptor)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system that knows no leases
                return False
    return files == regular_files(place, mounts)


def regular_files(place: str, mounts: set[str]) -> "list[str]":
    return [entry.path for entry in look(place, mounts) if stat.S_ISREG(entry.status.st_mode) and not entry.is_mount]


def protect(place: str, mounts: set[str]) -> None:
    """Cover it with itself, read-only."""
    del mounts
    itself = clone(place, whole=True)
    attributes = Attributes(set=_MOUNT_ATTR_RDONLY)
    size = ctypes.sizeof(attributes)
    done = _libc.syscall(_MOUNT_SETATTR, itself, b"", _AT_EMPTY_PATH, ctypes.byref(attributes), size)
    _done(done, f"protect {place}")
    show(itself, place)


def fill(place: str, mounts: set[str]) -> None:
    """Cover it with a file system that may have as many files as are in there, and has them."""
    entries = look(place, mounts)
    itself = {entry.path: clone(entry.path, whole=entry.is_mount) for entry in entries if entry.is_shown}
    own = os.stat(place)
    options = f"mode={stat.S_IMODE(own.st_mode):o},uid={own.st_uid},gid={own.st_gid},size=4k"
    _done(_libc.mount(b"tmpfs", place.encode(), b"tmpfs", 0, options.encode()), f"cover {place}")
    try:
        for entry in entries:
            entry.make()
            if entry.is_shown:
                show(itself[entry.path], entry.path)
        room = os.statvfs(place)
        limit = f"size=4k,nr_inodes={room.f_files - room.f_ffree}"
        _done(_libc.mount(b"tmpfs", place.encode(), b"tmpfs", _MS_REMOUNT, limit.encode()), f"fill {place}")
    except OSError:
        uncover(place)
        raise


def uncover(place: str) -> None:
    _done(_libc.umount2(place.encode(), _MNT_DETACH), f"uncover {place}")


class Entry:
    """Something in a folder that is about to be covered."""

    def __init__(self, path: str, *, is_mount: bool) -> None:
        self.path = path
        self.status = os.lstat(path)
        self.is_mount = is_mount
        self.link = os.readlink(path) if stat.S_ISLNK(self.status.st_mode) else ""
        self.is_folder = stat.S_ISDIR(self.status.st_mode) and not is_mount
        self.is_shown = not self.is_folder and not self.link  # the very same, where a place for it is made

    def make(self) -> None:
        if self.link:
            os.symlink(self.link, self.path)
        elif stat.S_ISDIR(self.status.st_mode):
            os.mkdir(self.path)
            os.chown(self.path, self.status.st_uid, self.status.st_gid)
            os.chmod(self.path, stat.S_IMODE(self.status.st_mode))
        else:
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))


def look(folder: str, mounts: set[str]) -> "list[Entry]":
    """All that is in there at this moment, each folder before what is in it.

    :raises OSError: it is too much
    """
    found: list[Entry] = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        try:
            entry = Entry(path, is_mount=path in mounts)
            found += [entry, *(look(path, mounts) if entry.is_folder else ())]
        except FileNotFoundError:
            continue  # gone meanwhile
        if len(found) > ENTRIES_MAX:
            raise OSError(errno.E2BIG, f"there are more than {ENTRIES_MAX} files in {folder}")
    return found


def clone(path: str, *, whole: bool) -> int:
    """The same place once more, to be shown elsewhere; `whole`: with what is mounted below it."""
    flags = _OPEN_TREE_CLONE | (_AT_RECURSIVE if whole else 0)
    made: int = _libc.syscall(_OPEN_TREE, _AT_FDCWD, path.encode(), flags)
    _done(made, f"keep {path}")
    return made


def show(itself: int, path: str) -> None:
    moved = _libc.syscall(_MOVE_MOUNT, itself, b"", _AT_FDCWD, path.encode(), _MOVE_MOUNT_F_EMPTY_PATH)
    _done(moved, f"show {path}")
    os.close(itself)


def wrong_unless(reason: int, places: list[str]) -> str:
    for place in places:
        path = os.path.join(place, f".jobproof-{os.getpid()}")
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except OSError as error:
            if error.errno != reason:
                return f"a file in {place} could not be made, but for another reason: {error}"
        else:
            os.unlink(path)
            return f"a file could be made in {place} nevertheless"
    return ""


def _done(answer: int, what: str) -> None:
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"could not {what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    try:
        wrong = main(*sys.argv[1:])
    except OSError as failed:
        wrong = failed.strerror or str(failed)
    if wrong:
        raise SystemExit(wrong)
