"""Waiting for something, never for a while."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# A look asks the broker, or the kernel, and takes the time from those that are waited for: at first often, so that what
# is quick is seen at once, then the more seldom the longer it has lasted already.
POLL_SECONDS_MIN = 0.01
POLL_SECONDS_MAX = 0.05
_POLL_SHARE = 0.05  # of the time waited so far


class WaitedInVainError(TimeoutError):
    """A bound passed before what was waited for happened; the message says what did not happen."""


def wait_until(done: Callable[[], T | None], *, within: float, or_else: str) -> T:
    """The first truthy answer of `done`, polled until `within` seconds have passed.

    :raises WaitedInVainError: with `or_else`, which names what did not happen
    """
    began = time.monotonic()
    while True:
        if answer := done():
            return answer
        waited = time.monotonic() - began
        if waited >= within:
            raise WaitedInVainError(f"{or_else} within {within:g} s")
        time.sleep(min(POLL_SECONDS_MAX, max(POLL_SECONDS_MIN, waited * _POLL_SHARE)))
