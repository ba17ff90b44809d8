import pytest

from reference_worker.backoff import backoff_seconds
from reference_worker.identity import identity_of


def run(invoice_id: str, note: str = "") -> None: ...


def test_by_position_and_by_name_are_the_same_work() -> None:
    assert identity_of("t", run, ("inv-1",), {}) == identity_of("t", run, (), {"invoice_id": "inv-1"})
    assert identity_of("t", run, ("inv-1",), {}) != identity_of("t", run, ("inv-2",), {})
    assert identity_of("t", run, ("inv-1",), {}) != identity_of("u", run, ("inv-1",), {})
    assert identity_of("t", run, ("1",), {}) != identity_of("t", run, (1,), {})


def nested() -> list[object]:
    inner: list[object] = []
    for _ in range(100_000):
        inner = [inner]
    return inner


class Unshowable:
    def __repr__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("a", "b", "c"), {}),
        ((), {"unknown": 1}),
        ((Unshowable(),), {}),
        ((nested(),), {}),
        (("\x00\ud800\x1b[31m",), {}),
        (("x" * 100_000,), {}),
        (None, None),
        (5, "text"),
    ],
    ids=["too-many", "unknown-name", "unshowable", "nested", "odd-characters", "long", "none", "no-arguments-at-all"],
)
def test_any_arguments_have_an_identity_that_a_database_can_keep(args: object, kwargs: object) -> None:
    told = identity_of("t", run, args, kwargs)
    assert told.isascii()
    assert told.isprintable()
    assert 0 < len(told) <= 255
    assert told == identity_of("t", run, args, kwargs)


def test_long_arguments_that_differ_at_the_end_are_not_the_same_work() -> None:
    assert identity_of("t", run, ("x" * 999 + "a",), {}) != identity_of("t", run, ("x" * 999 + "b",), {})


def test_the_wait_doubles_has_jitter_and_stops_growing() -> None:
    for retries, factor in ((0, 1), (1, 2), (4, 16), (5, 16), (5000, 16)):
        waits = {backoff_seconds(retries, base_seconds=2.0) for _ in range(50)}
        assert len(waits) > 1
        assert 1.5 * factor <= min(waits)
        assert max(waits) <= 2.5 * factor
