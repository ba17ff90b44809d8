"""What exploring the crash points of a job needs of its job system, in the system's own words."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from harness.boundaries.rules import Process
from harness.systems.driver import Driver


class Role(StrEnum):
    """What a command to the broker is to the job system."""

    ASKS = "asks"  # for a message, as often as the worker likes: no boundary of a job
    BOOKS = "books"  # what the broker has handed out and forgotten: a crash before it loses the message
    KEEPS = "keeps"  # other bookkeeping of the system's: an acknowledgement, a result
    NONE = "none"  # nothing of the system's


class Meaning(Struct, frozen=True, kw_only=True):
    """What people call a command to the broker, and its role."""

    label: str
    role: Role


class Exploring(Struct, frozen=True, kw_only=True):
    """How the jobs of a system are explored.

    * `runs_jobs`: whether jobs run in a worker's main process or in its children
    * `joins_by_itself`: its workers put themselves under the supervisor that their environment names; else each is
      executed through a wrapper that does
    * `environment`: what workers are started with besides, for trials to be short
    * `notes`: what that is, and anything else that differs from a worker in production, in sentences
    * `given_back`, `left_to_it`: how what a dead main process held comes back in a trial, and with `--real-redelivery`
    * `cannot_see`: what may be a crash point of such a job and is not told, in words
    * `broker_story`: why a crash before a booking is the transport's, and what to do about it
    * `advice`: what to do about a violated guarantee, where the system has words of its own for it
    """

    runs_jobs: Process
    joins_by_itself: bool
    given_back: str
    left_to_it: str
    environment: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()
    cannot_see: tuple[str, ...] = ()
    broker_story: str = ""
    advice: Mapping[str, str] = {}


@runtime_checkable
class ExplorableDriver(Driver, Protocol):
    """A driver whose jobs can be run again and again in one lane, each time as if it were the first."""

    exploring: Exploring

    def meaning_of(self, sent: str) -> Meaning:
        """What a command to the broker is in a job's life, such as `reserve` and `ack`; else its own name."""
        ...

    def redelivery_seconds_max(self, settings: Mapping[str, Any]) -> float:
        """How long the system itself may take to give back what a dead worker held, with the subject's settings."""
        ...

    def forget(self) -> None:
        """What was before is over: no job, no message and no body of it is known any more."""
        ...

    def remove_all_but_queues(self) -> None:
        """Every key of the broker's but those that say which queues there are."""
        ...

    def wait_parted(self, *, within: float) -> None:
        """Once every worker is dead: until the broker has noticed that their connections are closed.

        :raises WaitedInVainError: it has not
        """
        ...

    def bury(self) -> None:
        """Once every worker is dead: what they had taken and not booked, or acknowledged and not begun, is no more."""
        ...
