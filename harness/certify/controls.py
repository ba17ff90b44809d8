"""Known mistakes, planted in the reference worker in the same campaign: that they are found shows what would be."""

from datetime import UTC, datetime
from pathlib import Path

from harness.campaign import Campaign, finish
from harness.certificate.statement import Control
from harness.codec import pretty
from harness.contract import Contract
from harness.contract_file import working_directory
from harness.plan import Plans
from harness.scenario import Scenario
from harness.services.broker import BrokerServer
from harness.session import Session

CONTROLS = "controls"
# One for each of the guarantees that every certification rests on: effects-once and nothing-lost.
PLANTED = ("check-then-send", "early-ack")


def run_controls(
    contract: Contract,
    contract_file: Path,
    *,
    seed: int,
    lanes: int,
    directory: Path,
    session: Session,
    server: BrokerServer,
    twin: Scenario,
    catalogue: tuple[Scenario, ...],
) -> tuple[Control, ...]:
    """Plant each mistake, run the first scenario that must find it, and say whether it was found."""
    return tuple(
        _control(
            contract,
            contract_file,
            bug,
            seed=seed,
            lanes=lanes,
            directory=directory / CONTROLS / bug,
            session=session,
            server=server,
            twin=twin,
            catalogue=catalogue,
        )
        for bug in PLANTED
    )


def _control(
    contract: Contract,
    contract_file: Path,
    name: str,
    *,
    seed: int,
    lanes: int,
    directory: Path,
    session: Session,
    server: BrokerServer,
    twin: Scenario,
    catalogue: tuple[Scenario, ...],
) -> Control:
    bug = next(each for each in contract.planted_bugs if each.name == name)
    scenario = next(each for each in catalogue if each.name in bug.scenarios)
    chosen = (twin, scenario) if scenario is not twin else (twin,)
    planned = tuple(each.plan(contract, seed=seed, bug=name) for each in chosen)
    plans = Plans(seed=seed, plans=planned, bug=name)
    (directory / "events").mkdir(parents=True)
    (directory / "plan.json").write_bytes(pretty(plans))
    began = datetime.now(UTC)
    Campaign(
        plans,
        directory=directory,
        session=session,
        server=server,
        cwd=working_directory(contract_file),
        lanes=lanes,
        fail_fast=False,
        listener=lambda _name, _result: None,
    ).carry_out()
    result = finish(directory, plans, began=began, seconds=(datetime.now(UTC) - began).total_seconds())
    caught = any(
        guarantee.guarantee == bug.guarantee and guarantee.status == "violated"
        for each in result.scenarios
        for guarantee in each.guarantees
    )
    return Control(bug=name, scenario=scenario.name, guarantee=bug.guarantee, caught=caught)
