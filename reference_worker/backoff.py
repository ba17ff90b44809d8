import random


def backoff_seconds(retries: int, *, base_seconds: float) -> float:
    """How long to wait before the next attempt: base x 1, 2, 4, 8, 16, give or take a quarter.

    The jitter keeps jobs that failed together from coming back together.
    """
    return base_seconds * 2**retries * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing
