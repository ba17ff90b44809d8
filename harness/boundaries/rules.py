"""Where to strike and how: values only, armed by the harness and read by the supervisor."""

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct


class Side(StrEnum):
    BEFORE = "before"  # nothing of the message has left
    AFTER = "after"  # it has left and was answered, and its sender does not know


class Process(StrEnum):
    """What a process is in the subject."""

    MAIN = "main"
    CHILD = "child"  # it descends from a main process
    OTHER = "other"  # neither, such as a zygote


class Whom(StrEnum):
    SENDER = "sender"  # the process that sends
    MAIN = "main"  # the main process that the sender belongs to
    GROUP = "group"  # that main process and all that descend from it


class Kill(Struct, frozen=True, tag="kill", kw_only=True):
    """SIGKILL, and wait until they are gone. Before: the message never leaves, unless its sender outlives the kill."""

    whom: Whom = Whom.SENDER


class Delay(Struct, frozen=True, tag="delay", kw_only=True):
    """The send waits, then goes on. Only before."""

    seconds: float


class Fail(Struct, frozen=True, tag="fail", kw_only=True):
    """The send returns an error: before, nothing has left; after, everything has."""

    errno: int


Action: TypeAlias = Kill | Delay | Fail


class Rule(Struct, frozen=True, kw_only=True):
    """Strikes once, at the n-th message with a name. Empty fields match everything.

    Occurrences are counted from 1 for each kind of process and each dependency, since the start or the last reset.
    """

    rule: str  # what the harness calls it
    name: str  # such as "POST /v1/emails"
    occurrence: int = 1
    side: Side
    action: Action
    process: Process | None = None
    dependency: str = ""

    def __post_init__(self) -> None:
        if self.side is Side.AFTER and isinstance(self.action, Delay):
            raise ValueError("a delay after the send cannot be had here: delay the reply in the proxy instead")
