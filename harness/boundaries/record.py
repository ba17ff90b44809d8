"""What the supervisor writes down: one JSON object a line, each before the call that it tells of is answered."""

import os
import time
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from harness.boundaries.rules import Process, Side
from harness.codec import encode


class Part(StrEnum):
    """Which part of the message a send carried. A large one takes several sends; those in the middle are not told."""

    WHOLE = "whole"
    BEGIN = "begin"
    END = "end"


class Boundary(Struct, frozen=True, tag=True, tag_field="event", kw_only=True):
    """A message with an effect stood before the kernel, about to leave its process."""

    seq: int  # of the message; its end has the number of its beginning
    at: float  # seconds since the origin of the run
    name: str
    occurrence: int
    part: Part
    process: Process
    pid: int  # the thread that sends
    tgid: int  # its process
    dependency: str  # the name that the settings give to the peer, else "other"
    peer: str  # "127.0.0.1:6379"
    where: str = ""  # the subject's line that it stands at, where that was asked for and is known
    unnamed: int = 0  # what its sender did since its boundary before that may have changed something unseen


class Struck(Struct, frozen=True, tag=True, tag_field="event", kw_only=True):
    """A rule was carried out, or could not be: then `error` says why."""

    seq: int
    at: float
    rule: str
    side: Side
    killed: tuple[int, ...] = ()
    sent: int = 0  # bytes that the supervisor sent in place of the process
    replied: bool = False  # after: the peer answered before anything else was done, so it has applied what was sent
    error: str = ""


class Unseen(Struct, frozen=True, tag=True, tag_field="event", kw_only=True):
    """A send passed that could not be looked at: the boundaries are not complete."""

    at: float
    pid: int
    reason: str


class Ended(Struct, frozen=True, tag=True, tag_field="event", kw_only=True):
    """The last line of a complete record. Without it the supervisor died, and the sends after that failed."""

    at: float
    calls: int  # all that were intercepted, to sockets or not


Line: TypeAlias = Boundary | Struck | Unseen | Ended
_decoder = msgspec.json.Decoder(Line)


class Log:
    def __init__(self, path: str, origin: float) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._origin = origin

    def now(self) -> float:
        return time.monotonic() - self._origin

    def write(self, line: Line) -> None:
        os.write(self._descriptor, encode(line) + b"\n")


def lines(path: Path, *, offset: int = 0) -> list[Line]:
    """What stands in a record, from a byte on at which a line begins; a torn last line is passed over.

    :raises msgspec.MsgspecError: a line is damaged
    """
    with path.open("rb") as file:
        file.seek(offset)
        *whole, _ = file.read().split(b"\n")
    return [_decoder.decode(line) for line in whole]
