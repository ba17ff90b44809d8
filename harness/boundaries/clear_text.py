"""What Python's own `ssl` is about to encrypt, for the supervisor to read when the encrypted bytes stand at a boundary.

Loaded into the subject by its path, so: standard library only, and nothing of the harness. Before each write the
beginning of its clear text is kept in a shared page of a file that is named by the process: no call is made for it that
a supervisor could see. It never leaves the machine, and is removed with the session.

Not seen: TLS by other libraries than `ssl` (libpq, curl, gRPC, programs that are not Python).
"""

import mmap
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

KEPT_BYTES_MAX = 32 * 1024
_HEAD_BYTES = 64
_ANY = -1  # whoever encrypts into memory has no socket yet

_pages: "dict[int, tuple[mmap.mmap, list[int]]]" = {}
_lock = threading.Lock()


def install(directory: str) -> None:
    """From here on each write of this process and of those that it forks is told."""
    import ssl

    for owner, name, has_socket in (
        (ssl.SSLSocket, "send", True),
        (ssl.SSLSocket, "write", True),
        (ssl.SSLObject, "write", False),
    ):
        setattr(owner, name, _telling(directory, getattr(owner, name), has_socket))


def _telling(directory: str, write: Any, has_socket: bool) -> Any:
    def telling(link: Any, data: Any, *rest: Any) -> Any:
        with suppress(OSError, TypeError, ValueError):  # the write itself says it better
            _tell(directory, memoryview(data).cast("B"), link.fileno() if has_socket else _ANY)
        return write(link, data, *rest)

    return telling


def _tell(directory: str, data: memoryview, descriptor: int) -> None:
    with _lock:
        page, count = _page(directory)
        count[0] += 1
        head = f"{threading.get_native_id()} {count[0]} {descriptor} {len(data)}".encode()
        kept = bytes(data[:KEPT_BYTES_MAX])
        page[_HEAD_BYTES : _HEAD_BYTES + len(kept)] = kept
        page[:_HEAD_BYTES] = head.ljust(_HEAD_BYTES)


def _page(directory: str) -> "tuple[mmap.mmap, list[int]]":
    pid = os.getpid()
    if pid not in _pages:
        with Path(directory, str(pid)).open("w+b") as file:
            file.truncate(_HEAD_BYTES + KEPT_BYTES_MAX)
            _pages.clear()  # those of the process that forked this one are its own
            _pages[pid] = mmap.mmap(file.fileno(), _HEAD_BYTES + KEPT_BYTES_MAX), [0]
    return _pages[pid]


class Pages:
    """The supervisor's side: each write is read once."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._read: dict[int, int] = {}  # by process: the number of the latest

    def read(self, pid: int, thread: int, descriptor: int) -> "bytes | None":
        """What a thread has encrypted since it was last asked and sends through this descriptor; None if nothing.

        As long as the clear text; of a long one the end is zeros.
        """
        if not self._directory:
            return None
        try:
            told = Path(self._directory, str(pid)).read_bytes()
            owner, count, link, length = map(int, told[:_HEAD_BYTES].split())
        except (OSError, ValueError):
            return None
        if owner != thread or count <= self._read.get(pid, 0) or link not in (_ANY, descriptor):
            return None
        self._read[pid] = count
        return told[_HEAD_BYTES : _HEAD_BYTES + min(length, KEPT_BYTES_MAX)].ljust(length, b"\0")
