import random

JITTER = 0.25
_DOUBLINGS_MAX = 4


def backoff_seconds(retries: int, *, base_seconds: float) -> float:
    """How long to wait before the next attempt: base x 1, 2, 4, 8, 16, 16 ..., give or take a quarter.

    The jitter keeps jobs that failed together from coming back together. The wait does not grow beyond that, so that
    it stays below the broker's visibility timeout however many retries there are.
    """
    factor = 2 ** min(retries, _DOUBLINGS_MAX)
    return base_seconds * factor * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, guards nothing


def backoff_seconds_max(*, base_seconds: float) -> float:
    """No wait is longer."""
    return base_seconds * 2**_DOUBLINGS_MAX * (1 + JITTER)
