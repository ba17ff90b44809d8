"""A downstream that honours a fence refuses what comes late."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from harness.events import EffectRefused
from tests.contract.conftest import RunningLedger

pytestmark = pytest.mark.parametrize("ledger", ["fence"], indirect=True)


def put(ledger: RunningLedger, token: object, path: str = "/files/a") -> int:
    headers = {} if token is None else {"X-Fence": str(token)}
    return requests.put(f"{ledger.url}{path}", data=b"x", headers=headers, timeout=10).status_code


def test_a_lower_token_than_its_path_has_seen_is_refused_and_applies_nothing(ledger: RunningLedger) -> None:
    assert [put(ledger, token) for token in (5, 4, 5, 6, 5)] == [200, 412, 200, 200, 412]
    assert ledger.names().count("EffectApplied") == 3
    refused = [event for event in ledger.events() if isinstance(event, EffectRefused)]
    assert [(event.token, event.highest) for event in refused] == [(4, 5), (5, 6)]


def test_each_path_has_a_fence_of_its_own_whatever_the_method(ledger: RunningLedger) -> None:
    put(ledger, 5)
    assert put(ledger, 1, "/files/b") == 200
    assert requests.post(f"{ledger.url}/files/a", headers={"X-Fence": "1"}, timeout=10).status_code == 412


def test_a_read_raises_the_fence_and_is_refused_below_it(ledger: RunningLedger) -> None:
    put(ledger, 1)
    assert requests.get(f"{ledger.url}/files/a", headers={"X-Fence": "7"}, timeout=10).status_code == 200
    assert put(ledger, 6) == 412
    assert requests.get(f"{ledger.url}/files/a", headers={"X-Fence": "6"}, timeout=10).status_code == 412


def test_a_client_that_sends_no_token_is_let_through(ledger: RunningLedger) -> None:
    put(ledger, 9)
    assert put(ledger, None) == 200


@pytest.mark.parametrize("token", ["x", "-1", "1.5", "9" * 5000, ""])
def test_a_token_that_is_no_number_is_a_bad_request(ledger: RunningLedger, token: str) -> None:
    assert put(ledger, token) == 400
    assert "EffectApplied" not in ledger.names()


def test_tokens_at_the_same_moment_are_never_applied_in_falling_order(ledger: RunningLedger) -> None:
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda token: put(ledger, token), range(24)))
    by_number = {event.request: event for event in ledger.events() if type(event).__name__ == "EffectRequested"}
    applied = [
        int(by_number[event.request].headers["x-fence"])
        for event in ledger.events()
        if type(event).__name__ == "EffectApplied"
    ]
    assert applied == sorted(applied)
    assert statuses.count(200) == len(applied)
