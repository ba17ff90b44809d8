"""Known mistakes, planted in the reference worker in the same campaign: that they are found shows what would be."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from harness.campaign import Campaign, finish
from harness.certificate.statement import Control
from harness.codec import pretty
from harness.contract import Contract
from harness.plan import Plans
from harness.result import Result
from harness.runtimes.runtime import Runtime
from harness.scenario import Scenario
from harness.session import Session

CONTROLS = "controls"
# One for each of the guarantees that every certification rests on: effects-once and nothing-lost.
PLANTED = ("check-then-send", "early-ack")


class Campaigns(Protocol):
    """Whatever carries out plans in a folder of their own, and says what came of it."""

    def __call__(self, plans: Plans, directory: Path) -> Result: ...


def run_controls(
    contract: Contract,
    *,
    seed: int,
    directory: Path,
    carry_out: Campaigns,
    twin: Scenario,
    catalogue: tuple[Scenario, ...],
) -> tuple[Control, ...]:
    """Plant each mistake, run the first scenario that must find it, and say whether it was found."""
    found = []
    for name in PLANTED:
        bug = next(each for each in contract.planted_bugs if each.name == name)
        scenario = next(each for each in catalogue if each.name in bug.scenarios)
        planned = tuple(each.plan(contract, seed=seed, bug=name) for each in (twin, scenario))
        result = carry_out(Plans(seed=seed, plans=planned, bug=name), directory / CONTROLS / name)
        verdicts = [guarantee for each in result.scenarios for guarantee in each.guarantees]
        caught = any(each.guarantee == bug.guarantee and each.status == "violated" for each in verdicts)
        found.append(Control(bug=name, scenario=scenario.name, guarantee=bug.guarantee, caught=caught))
    return tuple(found)


def campaigns(*, lanes: int, session: Session, runtime: Runtime) -> Campaigns:
    """Campaigns of one subject, one after the other, without a word on the terminal."""

    def carry_out(plans: Plans, directory: Path) -> Result:
        (directory / "events").mkdir(parents=True)
        (directory / "plan.json").write_bytes(pretty(plans))
        began = datetime.now(UTC)
        Campaign(
            plans,
            directory=directory,
            session=session,
            runtime=runtime,
            lanes=lanes,
            fail_fast=False,
            listener=lambda _name, _result: None,
        ).carry_out()
        return finish(directory, plans, began=began, seconds=(datetime.now(UTC) - began).total_seconds())

    return carry_out
