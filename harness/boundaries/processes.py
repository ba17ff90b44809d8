"""What can be learned of another process, and done to it, from outside: its memory, its sockets, its family.

A pid may be given to another process while it is being looked at. Whoever calls these for a waiting call asks
`Listener.is_valid` afterwards, and before acting on what was learned.
"""

import ctypes
import os
import select
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.boundaries.notifications import Call
from harness.boundaries.user_notify import SENDMMSG, SENDMSG, SENDTO, WRITE, WRITEV

PAYLOAD_BYTES_MAX = 64 * 1024 * 1024
_VECTORS_MAX = 1024
_PATH_BYTES_MAX = 4096
_PAGE_BYTES = 4096
_SYS_PIDFD_GETFD = 438
_BUFFER_BYTES = 64 * 1024
_MESSAGE_HEADER = struct.Struct("=QIxxxxQQQQIxxxx")
_LISTENER_LINK = "anon_inode:seccomp notify"


class CannotReadError(Exception):
    """What a process wanted to send could not be read; the message says why."""


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Memory:
    """Reads the memory of other processes, with one call and buffers that are there already."""

    def __init__(self) -> None:
        self._read = ctypes.CDLL(None, use_errno=True).process_vm_readv
        self._read.restype = ctypes.c_ssize_t
        vectors = (ctypes.c_void_p, ctypes.c_ulong)
        self._read.argtypes = (ctypes.c_int, *vectors, *vectors, ctypes.c_ulong)
        self._buffer = ctypes.create_string_buffer(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._here, self._there = _Vector(), _Vector()
        self._here_at, self._there_at = ctypes.addressof(self._here), ctypes.addressof(self._there)
        self._buffer_at = ctypes.addressof(self._buffer)

    def read(self, pid: int, address: int, size: int) -> bytes:
        """:raises CannotReadError: less than that can be read"""
        if size > PAYLOAD_BYTES_MAX:
            raise CannotReadError(f"{size} bytes in one call are too many to look at")
        buffer = self._buffer if size <= _BUFFER_BYTES else ctypes.create_string_buffer(size)
        self._here.base = self._buffer_at if buffer is self._buffer else ctypes.addressof(buffer)
        self._here.length = self._there.length = size
        self._there.base = address
        count = self._read(pid, self._here_at, 1, self._there_at, 1, 0)
        if count != size:
            raise CannotReadError(f"the memory of {pid}: {os.strerror(ctypes.get_errno()) if count < 0 else 'cut off'}")
        return self._view[:size].tobytes() if buffer is self._buffer else buffer.raw

    def text(self, pid: int, address: int) -> str:
        """A path, up to its null byte."""
        found = b""
        while b"\0" not in found and len(found) < _PATH_BYTES_MAX:
            start = address + len(found)
            found += self.read(pid, start, _PAGE_BYTES - start % _PAGE_BYTES)  # the next page may not be there
        return os.fsdecode(found.partition(b"\0")[0])

    def payload(self, call: Call) -> bytes:
        """What the call is about to send, whichever of the send family it is.

        :raises CannotReadError: it cannot be read, or is unreasonably large
        """
        arguments = call.arguments
        match call.number:
            case _ if call.number in {WRITE, SENDTO}:
                return self.read(call.pid, arguments[1], arguments[2]) if arguments[2] else b""
            case _ if call.number == WRITEV:
                return self._vectors(call.pid, arguments[1], arguments[2])
            case _ if call.number == SENDMSG:
                return self._message(call.pid, arguments[1])
            case _ if call.number == SENDMMSG:
                count = min(arguments[2], _VECTORS_MAX)
                return b"".join(self._message(call.pid, arguments[1] + 64 * index) for index in range(count))
        raise CannotReadError(f"system call {call.number} is none of the send family")

    def _message(self, pid: int, address: int) -> bytes:
        header = _MESSAGE_HEADER.unpack(self.read(pid, address, _MESSAGE_HEADER.size))
        return self._vectors(pid, header[2], header[3])

    def _vectors(self, pid: int, address: int, count: int) -> bytes:
        if count > _VECTORS_MAX:
            raise CannotReadError(f"{count} buffers in one call are more than the kernel takes")
        if count == 0:
            return b""
        numbers = struct.unpack(f"={2 * count}Q", self.read(pid, address, 16 * count))
        pairs = [(base, size) for base, size in zip(numbers[::2], numbers[1::2], strict=True) if size]
        if sum(size for _, size in pairs) > PAYLOAD_BYTES_MAX:
            raise CannotReadError("too much in one call to look at")
        return b"".join(self.read(pid, base, size) for base, size in pairs)


def descriptor_link(pid: int, descriptor: int) -> str:
    """What a descriptor is: "socket:[4711]", the same in every process, or a path; empty if there is none.

    :raises OSError: it may not be looked at
    """
    try:
        return os.readlink(f"/proc/{pid}/fd/{descriptor}")  # noqa: PTH115 - felt at every call
    except FileNotFoundError:
        return ""


def process_of(pid: int) -> int:
    """The process that a thread belongs to; 0 if it is gone."""
    _, found, rest = _read(f"/proc/{pid}/status").partition(b"\nTgid:")
    return int(rest.split(maxsplit=1)[0]) if found else 0


def parent_of(pid: int) -> int:
    """0 if there is none or the process is gone."""
    _, found, rest = _read(f"/proc/{pid}/stat").rpartition(b")")
    return int(rest.split(maxsplit=2)[1]) if found else 0


def _read(path: str) -> bytes:
    """The beginning of a small file, empty if it is not there; three system calls and nothing else."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the process has ended since
        return b""
    finally:
        os.close(descriptor)


def descendants(pid: int) -> list[int]:
    """Parents before their children."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found


def _taken(pid: int, descriptor: int) -> int:
    """A duplicate of a descriptor of another process.

    :raises OSError: there is none such, or it may not be taken
    """
    pidfd = os.pidfd_open(pid)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        duplicate = libc.syscall(_SYS_PIDFD_GETFD, pidfd, descriptor, 0)
        if duplicate < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return int(duplicate)
    finally:
        os.close(pidfd)


def duplicate_socket(pid: int, descriptor: int) -> socket.socket:
    """The socket of another process. Close it soon: until then the peer does not see that the process has closed it.

    :raises OSError: it is gone, no socket, or may not be taken
    """
    taken = _taken(process_of(pid), descriptor)
    try:
        return socket.socket(fileno=taken)
    except OSError:
        os.close(taken)
        raise


@contextmanager
def duplicate(pid: int, descriptor: int) -> Iterator[int]:
    """A descriptor of another process, which shares its place in the file.

    :raises OSError: it is gone, or may not be taken
    """
    taken = _taken(process_of(pid), descriptor)
    try:
        yield taken
    finally:
        os.close(taken)


def take_listener(pid: int) -> int:
    """:raises OSError: the process has none, or it may not be taken"""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            if str(entry.readlink()) == _LISTENER_LINK:
                return _taken(pid, int(entry.name))
    raise FileNotFoundError(f"process {pid} has no seccomp listener")


def kill(pids: list[int], *, within: float) -> tuple[list[int], list[int]]:
    """SIGKILL; returns who is gone and who is not after `within` seconds. Zombies count as gone."""
    watched: dict[int, int] = {}
    for pid in pids:
        with suppress(ProcessLookupError):
            watched[os.pidfd_open(pid)] = pid
    poll = select.poll()
    gone = []
    try:
        for pidfd in watched:
            poll.register(pidfd, select.POLLIN)
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        left = set(watched)
        while left:
            ended = poll.poll(within * 1000)
            if not ended:
                break
            for pidfd, _ in ended:
                poll.unregister(pidfd)
                left.discard(pidfd)
                gone.append(watched[pidfd])
        return gone, [watched[pidfd] for pidfd in left]
    finally:
        for pidfd in watched:
            os.close(pidfd)
