"""The kernel's side of the listener: calls come in, answers go out (seccomp_unotify(2))."""

import fcntl
import os
import struct
import weakref
from contextlib import suppress
from typing import NamedTuple

_RECEIVE = 0xC0502100
_ANSWER = 0xC0182101
_ID_VALID = 0x40082102
_CONTINUE = 1

_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_ID = struct.Struct("=Q")
_ZEROS = bytes(_NOTIFICATION.size)


class Call(NamedTuple):
    """One send that waits for an answer. `pid` is the thread, as the supervisor sees it."""

    id: int
    pid: int
    number: int
    arguments: tuple[int, ...]


class Listener:
    """All processes under one filter. Answers to calls whose sender has died meanwhile go nowhere, without an error.

    Its descriptor is closed when nobody holds the listener any more: a thread may still have a call to answer.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)
        self._notification = bytearray(_ZEROS)

    def receive(self) -> Call | None:
        """The next call; None if its sender died before it was received. Blocks if no call waits: poll first."""
        self._notification[:] = _ZEROS
        try:
            fcntl.ioctl(self.descriptor, _RECEIVE, self._notification, True)
        except (FileNotFoundError, InterruptedError):
            return None
        identity, pid, _, number, _, _, *arguments = _NOTIFICATION.unpack(self._notification)
        return Call(identity, pid, number, tuple(arguments))

    def is_valid(self, call: Call) -> bool:
        """Whether the sender still waits for the answer. Only then is what was read by its pid about *this* process."""
        try:
            fcntl.ioctl(self.descriptor, _ID_VALID, _ID.pack(call.id))
        except FileNotFoundError:
            return False
        return True

    def let_pass(self, call: Call) -> None:
        self._answer(_RESPONSE.pack(call.id, 0, 0, _CONTINUE))

    def fail(self, call: Call, errno: int) -> None:
        self._answer(_RESPONSE.pack(call.id, 0, -errno, 0))

    def say_sent(self, call: Call, count: int) -> None:
        """The call returns `count` without having been made."""
        self._answer(_RESPONSE.pack(call.id, count, 0, 0))

    def _answer(self, response: bytes) -> None:
        with suppress(FileNotFoundError):
            fcntl.ioctl(self.descriptor, _ANSWER, response)
