"""A bound is told of what was drawn, where enough was drawn to say anything, and where nothing failed."""

import pytest

from harness.sampling import DRAWS_MIN, sample, upper_bound


@pytest.mark.parametrize("draws", [DRAWS_MIN, 100, 10_000])
def test_the_rule_of_three_is_never_below_the_exact_bound(draws: int) -> None:
    bound = upper_bound(draws, 0)
    assert bound == 3 / draws
    exact = 1 - 0.05 ** (1 / draws)
    assert exact < bound < exact * 1.06


@pytest.mark.parametrize(("draws", "failed"), [(0, 0), (3, 0), (DRAWS_MIN - 1, 0), (1000, 1)])
def test_there_is_no_bound_of_too_few_or_where_one_failed(draws: int, failed: int) -> None:
    assert upper_bound(draws, failed) is None


@pytest.mark.parametrize(
    ("draws", "failed", "told"),
    [
        (60, 0, "none of 60 inputs failed: with 95 % confidence fewer than 5 % of those drawn do (3/60)"),
        (3, 0, "none of 3 inputs failed, which are too few for a bound of those drawn: it takes 30"),
        (60, 2, "2 of 60 inputs did not hold, so there is no bound"),
    ],
)
def test_it_is_told_what_was_drawn_how_many_and_what_follows(draws: int, failed: int, told: str) -> None:
    found = sample("inputs", draws=draws, failed=failed, of="of those drawn")
    assert found.told == told
    assert (found.draws, found.failed) == (draws, failed)
