"""The ledger is the only authority on effects: what it says happened, happened, once."""

import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec
import pytest
import requests

from harness.contract import JsonField
from harness.downstream import Dripping, ErrorStatus, Late, ReplyLost, Reset, Rule, Silent
from harness.events import EffectRequested, JobId
from harness.services.ledger import Settings
from harness.session import LocalLane
from harness.waiting import wait_until
from tests.contract.conftest import RunningLedger

KEY = {"Idempotency-Key": "k1"}


def post(ledger: RunningLedger, path: str = "/v1/emails/a", **options: object) -> requests.Response:
    return requests.post(f"{ledger.url}{path}", timeout=10, **{"json": {"to": "x"}, **options})


def test_a_request_is_recorded_then_applied_then_answered(ledger: RunningLedger) -> None:
    answer = post(ledger, headers=KEY)

    assert answer.status_code == 200
    assert answer.json() == {"id": "effect-1", "duplicate": False}
    requested, applied = ledger.events()
    assert requested.label == "POST /v1/emails/a"
    assert requested.key == applied.key == "k1"
    assert requested.body == '{"to": "x"}'


def test_the_same_key_is_applied_once_and_answered_as_the_first_time(ledger: RunningLedger) -> None:
    post(ledger, headers=KEY)
    assert post(ledger, headers=KEY).json() == {"id": "effect-1", "duplicate": True}
    assert ledger.names() == ["EffectRequested", "EffectApplied", "EffectRequested", "EffectDeduplicated"]


def test_the_same_key_at_another_address_is_another_effect(ledger: RunningLedger) -> None:
    post(ledger, headers=KEY)
    post(ledger, "/v1/charges/a", headers=KEY)
    assert ledger.names().count("EffectApplied") == 2


def test_requests_without_a_key_are_each_applied(ledger: RunningLedger) -> None:
    post(ledger)
    post(ledger)
    assert ledger.names().count("EffectApplied") == 2


def test_many_requests_with_one_key_at_the_same_moment_are_applied_once(ledger: RunningLedger) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: post(ledger, headers=KEY).json(), range(48)))
    assert ledger.names().count("EffectApplied") == 1
    assert sum(not answer["duplicate"] for answer in answers) == 1
    assert len({answer["id"] for answer in answers}) == 1


def test_secrets_in_headers_do_not_reach_the_record(ledger: RunningLedger) -> None:
    post(ledger, headers={"Authorization": "Bearer s3cret", "Cookie": "s3cret", "X-Api-Key": "s3cret"})
    assert "s3cret" not in ledger.log.read_text()


def test_the_content_of_equal_requests_has_one_fingerprint_whatever_their_headers(ledger: RunningLedger) -> None:
    post(ledger, headers={"X-Request-Id": "1"})
    post(ledger, headers={"X-Request-Id": "2"})
    post(ledger, json={"to": "y"})
    one, two, other = (event.fingerprint for event in ledger.events() if isinstance(event, EffectRequested))
    assert one == two != other


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_an_error_is_answered_as_often_as_said_and_applies_nothing(ledger: RunningLedger, status: int) -> None:
    ledger.client.add(Rule(name="r", answer=ErrorStatus(status=status), times=2))
    assert [post(ledger).status_code for _ in range(3)] == [status, status, 200]
    assert ledger.names().count("EffectApplied") == 1
    assert ledger.client.uses("r") == 2


def test_a_rule_meets_only_the_requests_of_its_job(ledger: RunningLedger) -> None:
    ledger.client.add(Rule(name="r", answer=ErrorStatus(), belongs_to=JsonField("/to"), identity="y"))
    assert post(ledger, json={"to": "x"}).status_code == 200
    assert post(ledger, json={"to": "y"}).status_code == 500


def test_a_lifted_rule_meets_nothing(ledger: RunningLedger) -> None:
    ledger.client.add(Rule(name="r", answer=ErrorStatus()))
    ledger.client.lift("r")
    assert post(ledger).status_code == 200


@pytest.mark.parametrize("reset", [True, False])
def test_a_lost_reply_is_an_effect_that_the_client_never_heard_of(ledger: RunningLedger, reset: bool) -> None:
    ledger.client.add(Rule(name="r", answer=ReplyLost(reset=reset), times=1))
    with pytest.raises(requests.ConnectionError) as caught:
        post(ledger, headers=KEY)
    assert ("reset" in str(caught.value).lower()) == reset
    assert post(ledger, headers=KEY).json()["duplicate"]
    assert ledger.names().count("EffectApplied") == 1


def test_a_late_answer_is_applied_although_the_client_has_given_up(ledger: RunningLedger) -> None:
    ledger.client.add(Rule(name="r", answer=Late(seconds=0.5), times=1))
    with pytest.raises(requests.ReadTimeout):
        requests.post(f"{ledger.url}/v1/emails/a", json={}, timeout=0.1)
    wait_until(lambda: "EffectApplied" in ledger.names(), within=5, or_else="it was not applied")


def test_a_client_killed_while_held_before_applying_has_had_no_effect(ledger: RunningLedger) -> None:
    arm = ledger.gate.arm("effect-received", JobId("a"))
    client = subprocess.Popen(
        [sys.executable, "-c", f"import requests; requests.post('{ledger.url}/v1/emails/a', json={{}}, timeout=30)"]
    )
    assert arm.wait(within=20) is not None
    client.kill()
    client.wait()
    arm.release()
    wait_until(lambda: "EffectAbandoned" in ledger.names(), within=5, or_else="it was not abandoned")
    assert "EffectApplied" not in ledger.names()


def test_a_client_killed_while_held_after_applying_has_had_its_effect(ledger: RunningLedger) -> None:
    arm = ledger.gate.arm("effect-applied", JobId("a"))
    client = subprocess.Popen(
        [sys.executable, "-c", f"import requests; requests.post('{ledger.url}/v1/emails/a', json={{}}, timeout=30)"]
    )
    assert arm.wait(within=20) is not None
    client.kill()
    client.wait()
    arm.release()
    assert ledger.names() == ["EffectRequested", "EffectApplied"]


def test_a_held_client_that_lives_goes_on_when_released(ledger: RunningLedger) -> None:
    arm = ledger.gate.arm("effect-received", JobId("a"))
    answers: list[requests.Response] = []
    caller = threading.Thread(target=lambda: answers.append(post(ledger)))
    caller.start()
    assert arm.wait(within=20) is not None
    assert ledger.names() == ["EffectRequested"]
    arm.release()
    caller.join(10)
    assert answers[0].status_code == 200


def test_the_gate_holds_the_nth_arrival_of_the_named_job_and_no_other(ledger: RunningLedger) -> None:
    arm = ledger.gate.arm("effect-received", JobId("b"), occurrence=2)
    assert post(ledger, "/v1/a").ok
    assert post(ledger, "/v1/b").ok
    caller = threading.Thread(target=lambda: post(ledger, "/v1/b"))
    caller.start()
    arrival = arm.wait(within=20)
    assert arrival is not None
    assert (arrival.job, arrival.occurrence) == ("b", 2)
    assert post(ledger, "/v1/c").ok
    arm.release()
    caller.join(10)


def test_a_request_that_never_became_whole_is_no_request(ledger: RunningLedger) -> None:
    with socket.create_connection(("127.0.0.1", ledger.port)) as link:
        link.sendall(b"POST /v1/emails HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    with socket.create_connection(("127.0.0.1", ledger.port)) as link:
        link.sendall(b"\x16\x03\x01\x02\x00garbage\r\n\r\n")
    assert post(ledger).ok
    assert ledger.names() == ["EffectRequested", "EffectApplied"]


def test_chunked_bodies_and_kept_connections_are_understood(ledger: RunningLedger) -> None:
    with requests.Session() as kept:
        kept.post(f"{ledger.url}/a", data=iter([b'{"to":', b'"x"}']), timeout=10)
        kept.post(f"{ledger.url}/a", data=b"\x00\xff\xfe", timeout=10)
    bodies = [event.body for event in ledger.events() if isinstance(event, EffectRequested)]
    assert bodies[0] == '{"to":"x"}'
    peers = {event.connection for event in ledger.events() if isinstance(event, EffectRequested)}
    assert len(peers) == 1


def test_hostile_bytes_in_a_request_do_not_end_the_ledger(ledger: RunningLedger) -> None:
    for line in (b"\xff\xfe / HTTP/1.1", b"GET /" + b"a" * 200_000 + b" HTTP/1.1", b"GET /\x7f HTTP/9.9"):
        with socket.create_connection(("127.0.0.1", ledger.port)) as link:
            link.settimeout(5)
            link.sendall(line + b"\r\nHost: x\r\n\r\n")
            with suppress(OSError):
                link.recv(10)
    assert post(ledger).ok


def test_silence_applies_nothing_and_lasts_until_the_client_gives_up(ledger: RunningLedger) -> None:
    ledger.client.add(Rule(name="r", answer=Silent(), times=1))
    with pytest.raises(requests.ReadTimeout):
        requests.post(f"{ledger.url}/v1/emails/a", json={}, timeout=0.2)
    assert post(ledger).ok
    assert ledger.names().count("EffectApplied") == 1


def test_a_dripping_answer_outlasts_the_clients_read_timeout_and_is_applied_at_its_end(ledger: RunningLedger) -> None:
    ledger.client.add(Rule(name="r", answer=Dripping(seconds=1.0), times=1))
    answer = requests.post(f"{ledger.url}/v1/emails/a", json={}, headers=KEY, timeout=0.5)
    assert answer.elapsed.total_seconds() > 0.9
    assert answer.json() == {"id": "effect-1", "duplicate": False}


def test_a_client_that_does_not_wait_for_a_dripping_answer_has_had_no_effect(ledger: RunningLedger) -> None:
    ledger.client.add(Rule(name="r", answer=Dripping(seconds=30.0), times=1))
    with socket.create_connection(("127.0.0.1", ledger.port)) as link:
        link.sendall(b"POST /v1/emails/a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert link.recv(8) == b"HTTP/1.1"
    assert post(ledger).ok
    assert ledger.names().count("EffectApplied") == 1


def test_a_reset_connection_has_had_no_effect(ledger: RunningLedger) -> None:
    ledger.client.add(Rule(name="r", answer=Reset(), times=1))
    with socket.create_connection(("127.0.0.1", ledger.port), timeout=5) as link:
        link.sendall(b"POST /v1/emails/a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            link.recv(1)
    assert ledger.names() == ["EffectRequested", "AnswerScripted"]


def test_what_a_late_answer_is_about_is_applied_long_before_it(ledger: RunningLedger) -> None:
    ledger.client.add(Rule(name="r", answer=Late(seconds=30), times=1))
    with pytest.raises(requests.ReadTimeout):
        requests.post(f"{ledger.url}/v1/emails/a", json={}, timeout=0.3)
    wait_until(lambda: "EffectApplied" in ledger.names(), within=2, or_else="it was not applied at once")


def test_a_rule_lets_as_many_requests_pass_as_it_skips(ledger: RunningLedger) -> None:
    ledger.client.add(Rule(name="r", answer=ErrorStatus(), skip=2, times=1))
    assert [post(ledger).status_code for _ in range(4)] == [200, 200, 500, 200]
    assert ledger.client.uses("r") == 1


def test_reads_are_no_effects_and_answer_what_was_applied_at_their_path(ledger: RunningLedger) -> None:
    assert requests.get(f"{ledger.url}/things/a", timeout=10).status_code == 404
    requests.put(f"{ledger.url}/things/a", json={"n": 1}, timeout=10)
    answer = requests.get(f"{ledger.url}/things/a", timeout=10)
    assert (answer.status_code, answer.json(), answer.headers["Content-Type"]) == (200, {"n": 1}, "application/json")
    assert requests.head(f"{ledger.url}/things/a", timeout=10).content == b""
    assert requests.get(f"{ledger.url}/things/b", timeout=10).status_code == 404
    requests.delete(f"{ledger.url}/things/a", timeout=10)
    assert requests.get(f"{ledger.url}/things/a", timeout=10).status_code == 404
    assert ledger.names().count("ReadAnswered") == 5
    assert ledger.names().count("EffectApplied") == 2


def test_a_body_too_long_to_keep_reads_back_empty(ledger: RunningLedger) -> None:
    requests.put(f"{ledger.url}/things/a", data=b"x" * (64 * 1024 + 1), timeout=10)
    answer = requests.get(f"{ledger.url}/things/a", timeout=10)
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_refusing_downstream_resets_who_is_there_and_refuses_who_comes_until_it_accepts(
    ledger: RunningLedger,
) -> None:
    with (
        socket.create_connection(("127.0.0.1", ledger.port), timeout=5) as idle,
        socket.create_connection(("127.0.0.1", ledger.smtp_port), timeout=5) as mail,
    ):
        idle.sendall(b"POST /")
        assert mail.recv(1 << 10).endswith(b"\r\n")
        ledger.client.refuse()
        with pytest.raises(ConnectionResetError):
            idle.recv(1)
        with pytest.raises(ConnectionResetError):
            mail.recv(1)
    for port in (ledger.port, ledger.smtp_port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    ledger.client.accept()
    assert post(ledger).ok
    with socket.create_connection(("127.0.0.1", ledger.smtp_port), timeout=5) as mail:
        assert mail.recv(3) == b"220"


def other_ledger(ledger: RunningLedger, lane: LocalLane, port: int) -> list[str]:
    settings = Settings(
        events=str(lane.directory / "other.jsonl"),
        gate=str(ledger.gate.path),
        control=str(lane.directory / "other.sock"),
        origin=0.0,
        port=port,
        smtp=False,
    )
    return [sys.executable, "-P", "-m", "harness.services.ledger", msgspec.json.encode(settings).decode()]


def test_a_taken_port_is_a_clear_error(ledger: RunningLedger, lane: LocalLane) -> None:
    command = other_ledger(ledger, lane, ledger.port)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert f"the ledger cannot listen on 127.0.0.1:{ledger.port}: Address already in use" in ended.stderr


def test_the_next_ledger_takes_the_port_over_at_once_and_without_mail_names_no_mail_port(
    ledger: RunningLedger, lane: LocalLane
) -> None:
    with requests.Session() as kept:
        kept.post(f"{ledger.url}/v1/emails/a", json={}, timeout=10)
        os.kill(ledger.pid, signal.SIGKILL)
        wait_until(lambda: lane.exit_of(ledger.pid), within=10, or_else="the ledger did not end")
        with subprocess.Popen(other_ledger(ledger, lane, ledger.port)) as other:
            ready = ledger.gate.notice("ledger-ready", "ledger", within=20)
            try:
                assert ready is not None
                assert (ready["port"], ready["smtp_port"]) == (ledger.port, 0)
                assert post(ledger).ok
            finally:
                other.kill()
