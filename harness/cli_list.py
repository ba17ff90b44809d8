"""`jobproof list`: every catalogue."""

from pathlib import Path
from typing import Any

import click
import msgspec

from harness.bad_input import BadInputError
from harness.cli_input import compiled, reference_contract
from harness.contract import PlantedBug
from harness.exit_codes import ExitCode


@click.command("list")
@click.argument("what", type=click.Choice(["scenarios", "guarantees", "faults", "bugs", "rules"]))
@click.option("--contract", "contract_file", type=click.Path(path_type=Path), help="Whose planted bugs to list.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="For the output; markdown is for bugs (which guarantee finds which, in which scenario) and rules.",
)
def list_command(what: str, contract_file: Path | None, format_: str) -> int:
    """List what there is to run, to judge by, to hurt with, to plant, or to ask in an audit."""
    rows = _rows(what, contract_file)
    if format_ == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2))
    elif format_ == "markdown":
        from harness.report import audit, matrix

        if what == "rules":
            from harness.audit.rules import CATALOGUE

            click.echo(audit.rules_page(CATALOGUE), nl=False)
            return ExitCode.HELD
        if what != "bugs":
            raise BadInputError(f"--format markdown is for bugs and rules, not for {what}")
        path = contract_file if contract_file is not None else reference_contract()
        click.echo(matrix.render(compiled(path)), nl=False)
    else:
        width = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            click.echo(f"{row['name']:{width}}  {row['story']}")
    return ExitCode.HELD


def _rows(what: str, contract_file: Path | None) -> list[dict[str, Any]]:
    if what == "scenarios":
        from scenarios import CATALOGUE, FAULT_FREE

        return [
            {"name": each.name, "story": each.story, "covers": each.covers, "guarantees": each.guarantees}
            for each in (FAULT_FREE, *CATALOGUE)
        ]
    if what == "guarantees":
        from harness.checkers import CATALOGUE as CHECKERS

        return [{"name": checker.guarantee, "story": checker.sentence} for checker in CHECKERS]
    if what == "faults":
        from harness.faults import CATALOGUE as FAULTS

        return [{"name": str(fault.__struct_config__.tag), "story": fault.summary} for fault in FAULTS]
    if what == "rules":
        from harness.audit.rules import CATALOGUE as RULES

        return [
            {"name": rule.name, "story": rule.asks, "severity": rule.severity, "covers": rule.failure_modes}
            for rule in RULES
        ]
    contract = compiled(contract_file if contract_file is not None else reference_contract())
    return [_bug_row(bug) for bug in contract.planted_bugs]


def _bug_row(bug: PlantedBug) -> dict[str, Any]:
    return {
        "name": bug.name,
        "story": bug.story,
        "guarantee": bug.guarantee,
        "also": bug.also,
        "scenarios": bug.scenarios,
    }
