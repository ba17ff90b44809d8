"""Waiting for something, never for a while."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.01


class WaitedInVainError(TimeoutError):
    """A bound passed before what was waited for happened; the message says what did not happen."""


def wait_until(done: Callable[[], T | None], *, within: float, or_else: str) -> T:
    """The first truthy answer of `done`, polled until `within` seconds have passed.

    :raises WaitedInVainError: with `or_else`, which names what did not happen
    """
    deadline = time.monotonic() + within
    while True:
        if answer := done():
            return answer
        if time.monotonic() >= deadline:
            raise WaitedInVainError(f"{or_else} within {within:g} s")
        time.sleep(POLL_SECONDS)
