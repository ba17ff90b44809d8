"""Every command in the README and the docs is run, and what they state is compared with what is."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from harness.checkers import CATALOGUE as CHECKERS
from harness.cli import cli
from harness.exit_codes import ExitCode
from harness.schema import result_schema
from scenarios import CATALOGUE, FAULT_FREE
from tests.conftest import ROOT, JobproofCommand

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
IN_ORDER = "tutorial.md"  # its commands build on each other, and run in test_tutorial.py


def commands() -> Iterator[str]:
    """Every line of a console block that a person would type."""
    for page in (each for each in PAGES if each.name != IN_ORDER):
        for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
            yield from (line[2:] for line in block.splitlines() if line.startswith("$ "))


JOBPROOF = sorted({line for line in commands() if line.startswith("jobproof ")})


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run for the commands that read one."""
    import subprocess

    from tests.conftest import command_line

    directory = tmp_path_factory.mktemp("recorded") / "run"
    subprocess.run(command_line("run", "reply-lost", "--out", str(directory)), check=True, capture_output=True)
    return directory


# Commands that run every scenario, and the tests that run them with more to ask about the result.
RUN_ELSEWHERE = {"jobproof run", "jobproof run --profile full"}
IN_CONTAINERS = "--runtime docker"  # those run in tests/containers, which need a daemon
HERE = [line for line in JOBPROOF if IN_CONTAINERS not in line and line.partition("#")[0].strip() not in RUN_ELSEWHERE]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("line", HERE)
def test_a_command_of_the_docs_ends_as_the_docs_say(line: str, jobproof: JobproofCommand, recorded: Path) -> None:
    typed, _, comment = line.partition("#")
    words = [str(recorded) if word == "reports/DIR" else word for word in shlex.split(typed)[1:]]
    expected = re.search(r"exit code (\d+)", comment)

    ran = jobproof(*words, out=words[0] in {"run", "replay", "explore", "certify"})
    assert ran.code == (int(expected[1]) if expected else 0), ran.out + ran.err


def test_make_knows_every_target_that_the_docs_name() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = [line.split()[1] for line in commands() if line.startswith("make ")]
    assert named
    assert set(named) <= set(targets)


def test_the_output_in_the_readme_is_what_is_printed_today(jobproof: JobproofCommand) -> None:
    block = next(block for block in re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL))
    shown = [line for line in block.splitlines()[1:] if line != "..."]
    ran = jobproof("run", "--bug", "check-then-send", "--seed", "7", "--jobs", "3", out=True)
    printed = [stable(line) for line in ran.out.splitlines()]
    for line in shown:
        assert stable(line) in printed


def stable(line: str) -> str:
    """A line of output without what differs from run to run: times, versions, and the order of what runs at once."""
    line = re.sub(r"\d+\.\d+(\.\d+)?( s)?", "T", line.rstrip())
    line = re.sub(r"ledger:\d+", "ledger:N", line)
    line = re.sub(r"request \d+", "request N", line)
    line = re.sub(r"(valkey|redis) \S+ from \S+,", "BROKER,", line)
    return " ".join(line.split())


def test_every_exit_code_is_documented() -> None:
    page = (ROOT / "docs" / "exit-codes.md").read_text()
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == {int(code) for code in ExitCode}


def test_the_published_schema_is_the_one_of_the_types() -> None:
    published = json.loads((ROOT / "docs" / "result.schema.json").read_text())
    assert published == result_schema(), "run `make schema`"


def test_a_result_satisfies_the_published_schema(recorded: Path) -> None:
    schema = json.loads((ROOT / "docs" / "result.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads((recorded / "result.json").read_text()))


def test_a_run_writes_every_file_that_the_docs_list(recorded: Path) -> None:
    names = {"plan.json", "history.jsonl", "verdicts.json", "result.json", "report.html", "report.md", "junit.xml"}
    assert names <= {path.name for path in recorded.iterdir()}
    assert list(recorded.glob("events/*.jsonl"))
    assert list(recorded.glob("logs/*/*.log"))


def test_every_covered_id_is_explained_and_no_other_is_claimed() -> None:
    page = (ROOT / "docs" / "failure-modes.md").read_text()
    told = {
        row[0]: set(re.findall(r"`([a-z0-9-]+)`", row[1]))
        for row in re.findall(r"^\| ([FW]\d+) \| .*? \| (.*) \|$", page, re.MULTILINE)
    }
    covered: dict[str, set[str]] = {}
    for scenario in CATALOGUE:
        for identifier in scenario.covers:
            covered.setdefault(identifier, set()).add(scenario.name)
    assert told == covered


def test_every_guarantee_is_in_the_readme() -> None:
    page = (ROOT / "README.md").read_text()
    for checker in CHECKERS:
        assert f"| {checker.guarantee} |" in page


@pytest.mark.parametrize("what", ["scenarios", "guarantees", "faults", "bugs"])
def test_lists_are_json_arrays_of_objects_with_names(what: str, jobproof: JobproofCommand) -> None:
    rows = json.loads(jobproof("list", what, "--format", "json").out)
    assert rows
    assert all(isinstance(row["name"], str) for row in rows)


def test_the_list_of_scenarios_is_the_catalogue(jobproof: JobproofCommand) -> None:
    rows = json.loads(jobproof("list", "scenarios", "--format", "json").out)
    assert [row["name"] for row in rows] == [each.name for each in (FAULT_FREE, *CATALOGUE)]


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_example_in_the_page_about_contracts_is_a_contract(jobproof: JobproofCommand, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "contract.md").read_text()
    source = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert source is not None
    path = tmp_path / "contract.py"
    path.write_text(source[1])
    ran = jobproof("list", "bugs", "--contract", str(path))
    assert ran.code == 0, ran.err


def test_every_command_explains_itself(jobproof: JobproofCommand) -> None:
    for name in cli.commands:
        ran = jobproof(name, "--help")
        assert ran.code == 0
        assert "Usage: " in ran.out
