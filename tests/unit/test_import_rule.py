"""Imports run one way: contract <- events <- history <- verdict <- checkers, and nobody but the top imports `run`."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("harness", "scenarios", "reference_worker")
LOADED = tuple(f"harness.systems.celery.{name}" for name in ("agent", "probe", "surveyor", "zygote"))
COMMANDS = ("cli", "cli_certify", "cli_deployed", "cli_explore", "cli_explored", "cli_list")
TOPS = tuple(f"harness.{name}" for name in ("campaign", *COMMANDS, "pytest_plugin"))


def files(package: str) -> dict[str, Path]:
    """Each module of a package by its dotted name."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = {name: path for package in OURS for name, path in files(package).items()}


@cache
def imports(module: str) -> frozenset[str]:
    """Every module that a module imports, anywhere in it; `from a import b` is a.b if that is a module, else a."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                is_package = MODULES[module].name == "__init__.py"
                parents = module.split(".")[: len(module.split(".")) - node.level + is_package]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                longer = f"{base}.{alias.name}"
                found.add(longer if longer in MODULES else base)
    return frozenset(found)


def under(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def of_ours(module: str) -> set[str]:
    return {name for name in imports(module) if under(name, *OURS)}


def modules(package: str) -> list[str]:
    return [name for name in MODULES if under(name, package)]


def test_the_rule_reads_the_modules_that_it_is_about() -> None:
    assert {"harness.events", "harness.run", "harness.checkers", "harness.systems.celery.probe"} <= set(MODULES)
    assert imports("harness.checkers.nothing_lost") >= {"msgspec", "harness.history", "harness.checkers.base"}


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("harness.contract", set()),
        ("harness.events", {"harness.contract"}),
        ("harness.history", {"harness.events", "harness.contract"}),
        ("harness.verdict", {"harness.events"}),
        ("harness.left_files", {"harness.events"}),
        ("harness.codec", {"harness.events"}),
    ],
)
def test_facts_and_judgments_know_only_what_lies_below_them(module: str, allowed: set[str]) -> None:
    assert of_ours(module) <= allowed


@pytest.mark.parametrize("module", [name for name in modules("harness.checkers") if name != "harness.checkers"])
def test_a_checker_sees_the_history_and_no_other_checker(module: str) -> None:
    below = {"harness.history", "harness.verdict", "harness.events", "harness.contract"}
    assert of_ours(module) <= below | {"harness.checkers.base", "harness.left_files"}


@pytest.mark.parametrize("module", [name for name in modules("harness.checkers") if name != "harness.checkers"])
def test_a_checker_can_reach_no_clock_no_file_and_no_chance(module: str) -> None:
    assert not {name for name in imports(module) if under(name, "time", "datetime", "random", "os", "pathlib", "io")}


def test_the_catalogue_of_checkers_imports_every_checker_and_nothing_above() -> None:
    below = {"harness.history", "harness.verdict", "harness.events", "harness.contract"}
    checkers = {name for name in modules("harness.checkers") if name != "harness.checkers"}
    assert checkers <= of_ours("harness.checkers") <= checkers | below


@pytest.mark.parametrize("module", modules("harness.faults"))
def test_faults_and_checkers_never_see_each_other(module: str) -> None:
    assert not {name for name in imports(module) if under(name, "harness.checkers")}


@pytest.mark.parametrize(
    "module", [name for name in modules("harness.faults") if name not in {"harness.faults", "harness.faults.single"}]
)
def test_a_fault_sees_no_other_fault_but_the_rule_that_the_downstreams_faults_share(module: str) -> None:
    assert {name for name in imports(module) if under(name, "harness.faults")} <= {
        "harness.faults.downstream_rule",
        *(["harness.faults.single"] if module == "harness.faults.together" else []),
    }


@pytest.mark.parametrize("module", [name for name in modules("harness") if name != "harness.campaign"])
def test_only_the_campaign_imports_what_touches_the_world(module: str) -> None:
    assert "harness.run" not in imports(module)


def test_what_touches_the_world_does_not_judge_it() -> None:
    assert not {name for name in imports("harness.run") if under(name, "harness.checkers", "harness.verdict")}


@pytest.mark.parametrize("module", [name for name in MODULES if not under(name, "reference_worker")])
def test_only_what_is_loaded_into_the_subject_imports_celery(module: str) -> None:
    if module in LOADED:
        return
    assert not {name for name in imports(module) if under(name, "celery", "kombu", "billiard", "vine", "amqp")}


@pytest.mark.parametrize("module", [*modules("harness.explore"), *modules("harness.boundaries")])
def test_whoever_explores_knows_no_job_system_by_its_name(module: str) -> None:
    assert not {name for name in imports(module) if under(name, "harness.systems.celery", "harness.systems.redis_list")}


@pytest.mark.parametrize("module", [*LOADED, "harness.forking"])
def test_what_is_loaded_into_the_subject_brings_nothing_along(module: str) -> None:
    foreign = {name for name in imports(module) if name.split(".")[0] not in sys.stdlib_module_names}
    assert {name.split(".")[0] for name in foreign} <= {"celery"}


@pytest.mark.parametrize("module", [name for name in modules("harness") if name not in TOPS])
def test_the_harness_knows_neither_its_scenarios_nor_its_reference_subject(module: str) -> None:
    assert not {name for name in imports(module) if under(name, "scenarios", "reference_worker")}


@pytest.mark.parametrize("module", [name for name in modules("harness.audit.rules") if name != "harness.audit.rules"])
def test_a_rule_of_the_audit_sees_what_was_seen_and_no_other_rule(module: str) -> None:
    below = {f"harness.audit.{name}" for name in ("finding", "facts", "code", "syntax", "bounds", "retrying", "broker")}
    assert of_ours(module) <= below


@pytest.mark.parametrize("module", [name for name in modules("harness.audit") if name != "harness.audit.survey"])
def test_only_the_survey_of_an_audit_touches_the_world(module: str) -> None:
    assert not {name for name in imports(module) if under(name, "subprocess", "os", "socket", "harness.session")}


@pytest.mark.parametrize("module", modules("harness.report"))
def test_a_report_is_made_of_values(module: str) -> None:
    above = ("harness.run", "harness.services", "harness.systems", "harness.runtimes", "harness.session")
    assert not {name for name in imports(module) if under(name, *above)}


@pytest.mark.parametrize(
    "module", [name for name in modules("reference_worker") if name != "reference_worker.contract"]
)
def test_nothing_in_the_reference_worker_depends_on_the_harness(module: str) -> None:
    assert not {name for name in imports(module) if under(name, "harness", "scenarios")}


def test_no_module_imports_itself_in_a_circle() -> None:
    # The planted bugs of the reference worker reach back into its tasks, which is what they are for.
    graph = {module: {name for name in of_ours(module) if name in MODULES} for module in MODULES}
    graph = {module: below for module, below in graph.items() if not under(module, "reference_worker")}
    graph = {module: {name for name in below if name in graph} for module, below in graph.items()}
    while free := {module for module, below in graph.items() if not below}:
        graph = {module: below - free for module, below in graph.items() if module not in free}
    assert graph == {}
