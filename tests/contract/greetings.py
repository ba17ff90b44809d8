"""A small subject of two releases, deployed on this machine's own processes."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from harness.contract_file import compile_contract
from harness.plan import Plan
from harness.runtimes.process import deploy
from harness.scenario import workload_of
from harness.services.broker import resolve
from harness.session import Session
from harness.store import Recorder
from harness.waiting import wait_until
from tests.conftest import ROOT

GREETINGS = ROOT / "tests" / "subjects" / "two_releases" / "greetings_contract.py"
SECONDS_MAX = 40.0
Deployed = Callable[..., AbstractContextManager[Any]]


def deployed_in(session: Session, directory: Path) -> Deployed:
    """Deploys it; keyword arguments are fields of the plan."""
    (directory / "events").mkdir()

    @contextmanager
    def deployed(**fields: Any) -> Iterator[Any]:
        contract = fields.get("contract") or compile_contract(GREETINGS)
        plan = Plan(
            scenario="greetings",
            story="",
            seed=0,
            contract=contract,
            workload=workload_of(contract),
            steps=(),
            guarantees=("nothing-lost",),
        )
        recorder = Recorder(directory, "greetings")
        with deploy(
            replace(plan, **fields),
            session=session,
            server=resolve(),
            recorder=recorder,
            name=directory.name[-20:],
            cwd=GREETINGS.parent,
        ) as system:
            yield system
        recorder.close()

    return deployed


def drained(system: Any) -> None:
    wait_until(lambda: not system.left(), within=SECONDS_MAX, or_else=f"not drained: {system.left()}")


def events(directory: Path, source: str) -> list[dict[str, Any]]:
    log = directory / "events" / f"greetings.{source}.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()]


def bodies(directory: Path) -> list[dict[str, str]]:
    """What the ledger was asked for, in order."""
    return [json.loads(event["body"]) for event in events(directory, "ledger") if event["event"] == "EffectRequested"]
