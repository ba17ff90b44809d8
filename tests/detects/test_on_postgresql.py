"""The reference worker keeps its promises with its state in a real PostgreSQL, too."""

import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.conftest import ROOT, JobproofCommand
from tests.postgresql import postgresql_url

CONTRACT = ROOT / "tests" / "subjects" / "reference_on_postgresql" / "contract.py"
SCENARIOS = (
    "worker-killed-group",
    "killed-before-a-later-effect",
    "delivered-twice-at-once",
    "job-that-kills-its-worker",
    "dead-letter-store-down",
    "poisoned-messages",
)


def test_the_reference_worker_holds_on_postgresql(jobproof: JobproofCommand) -> None:
    server = sa.make_url(postgresql_url()).set(database="DATABASE").render_as_string(hide_password=False)
    ran = jobproof("run", *SCENARIOS, "--contract", str(CONTRACT), "--seed", "5", out=True, POSTGRESQL_SERVER=server)
    assert ran.code == 0, ran.out + ran.err
    tables = {event["table"] for scenario in SCENARIOS for event in recorded(ran.directory, scenario) if event["rows"]}
    assert {"users", "invoices", "customers", "exports"} <= tables


def recorded(directory: Path, scenario: str) -> list[dict[str, Any]]:
    """The rows that the harness read from the subject's tables."""
    log = (directory / "events" / f"{scenario}.observer.jsonl").read_text()
    events = [json.loads(line) for line in log.splitlines()]
    return [event for event in events if event["event"] == "StateRecorded"]
