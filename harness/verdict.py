"""Judgments: what a checker says of a history."""

from collections.abc import Iterable
from enum import IntEnum

from msgspec import Struct

from harness.events import Event


class Status(IntEnum):
    """The worst wins."""

    HELD = 0
    UNKNOWN = 1
    VIOLATED = 2

    @property
    def word(self) -> str:
        return self.name.lower()


class Verdict(Struct, frozen=True, kw_only=True):
    guarantee: str
    status: Status
    because: str  # one sentence that a colleague understands
    witnesses: tuple[Event, ...] = ()  # the events that prove it


def held(because: str) -> tuple[Status, str, tuple[Event, ...]]:
    return Status.HELD, because, ()


def unknown(because: str, *witnesses: Event) -> tuple[Status, str, tuple[Event, ...]]:
    return Status.UNKNOWN, because, witnesses


def violated(because: str, *witnesses: Event) -> tuple[Status, str, tuple[Event, ...]]:
    return Status.VIOLATED, because, witnesses


def worst(verdicts: Iterable[Verdict]) -> Status:
    """Of no verdicts at all: unknown, since silence is not success."""
    return max((verdict.status for verdict in verdicts), default=Status.UNKNOWN)
