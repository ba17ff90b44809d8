"""What every tap on a lane's broker keeps of a message, and what a driver asks of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.events import MessageId

QUEUED, DELIVERED, SETTLED = "queued", "delivered", "settled"


@dataclass(kw_only=True)
class Tracked:
    """One copy of a message in the broker, by its delivery tag."""

    message: MessageId
    queue: str
    raw: bytes
    state: str = QUEUED
    client: str = ""
    due: float = 0.0  # when it may be begun, by the wall clock; 0: at once
    countdown_seconds: float = 0.0  # from when it was queued until it is due


class Tap(Protocol):
    """A listener for `RedisMonitor` that keeps the state of each message."""

    @property
    def deliveries(self) -> Counter[MessageId]:
        """How often each message was handed to a worker."""
        ...

    def __call__(self, client: str, words: Sequence[bytes], at: float) -> None: ...

    def pending(self) -> dict[str, Tracked]:
        """Every message that is not settled, by delivery tag."""
        ...

    def by_message(self, message: MessageId) -> list[tuple[str, Tracked]]:
        """All copies of a message, oldest first."""
        ...

    def held_by(self, clients: set[str]) -> tuple[MessageId, ...]:
        """The messages that the given connections have taken and are not done with."""
        ...

    def forget(self) -> None:
        """All that was known of messages, where they have all ended."""
        ...

    def vanish(self, tag: str) -> None:
        """A message that nobody has any more: it is not waited for."""
        ...
