"""A retry that is minutes away is not waited for: it comes at once, and that is said."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.contract_file import compile_contract
from harness.countdowns import not_waited_for
from harness.events import CountdownShortened, MessageId
from harness.plan import Plan
from harness.runtimes.process import deploy
from harness.scenario import workload_of
from harness.services.broker import resolve
from harness.session import Session, open_session
from harness.store import Recorder
from tests.certify.conftest import SUBJECTS
from tests.conftest import run_command

CONTRACT = SUBJECTS / "later" / "later_contract.py"


def test_what_a_retry_does_minutes_later_is_seen_and_only_who_does_it_anew_is_blamed(tmp_path: Path) -> None:
    words = ("run", "reply-lost", "--contract", str(CONTRACT), "--seed", "7")
    ran = run_command(*words, directory=tmp_path / "out")
    assert ran.code == 1, ran.out + ran.err
    assert ran.violated() == {("effects-once", "reply-lost")}
    result = json.loads((ran.directory / "result.json").read_bytes())
    verdicts = {each["guarantee"]: each for each in result["scenarios"][1]["guarantees"]}
    because = verdicts["effects-once"]["because"]
    assert "POST /charges of job-2 was applied 2 times by count, 2 different keys" in because
    assert "job-4" not in because
    told = {each["name"]: each["because"] for each in result["not_covered"]}
    assert told["countdowns"].startswith("2 countdowns were shortened from 300 s to 1 s: ")
    assert "2 countdowns were shortened from 300 s to 1 s" in ran.out
    assert "2 countdowns were shortened" in (ran.directory / "report.md").read_text()


@pytest.fixture
def session() -> Iterator[Session]:
    with open_session() as opened:
        yield opened


def test_a_job_that_still_waits_for_its_countdown_is_told_with_it(session: Session, tmp_path: Path) -> None:
    contract = compile_contract(CONTRACT)
    (tmp_path / "events").mkdir()
    recorder = Recorder(tmp_path, "later")
    workload = workload_of(contract)
    plan = Plan(scenario="later", story="", seed=0, contract=contract, workload=workload, steps=(), guarantees=())
    with deploy(
        plan, session=session, server=resolve(), recorder=recorder, name="later", cwd=CONTRACT.parent
    ) as system:
        due = datetime.now(UTC) + timedelta(seconds=300)
        envelope = {
            "body": "W1tdLCB7fSwge31d",
            "headers": {"id": "m1", "task": "later.same", "eta": due.isoformat()},
            "properties": {"delivery_tag": "t1", "body_encoding": "base64"},
        }
        system.broker_server.client.lpush("nobody-listens-here", json.dumps(envelope))
        assert system.left() == "1 queued, 0 unacknowledged, 0 bodies running; m1 still waits for a countdown of 300 s"
    system.broker_server.client.close()
    recorder.close()


def test_countdowns_are_counted_by_their_length() -> None:
    events = [
        CountdownShortened(message=MessageId("m"), retries=1, seconds=seconds, to_seconds=1)
        for seconds in (299.98, 299.7, 3600)
    ]
    (told,) = not_waited_for(events)
    assert told.because.startswith(
        "2 countdowns were shortened from 300 s to 1 s, 1 countdown was shortened from 3600 s to 1 s: "
    )
    assert not_waited_for([]) == ()
