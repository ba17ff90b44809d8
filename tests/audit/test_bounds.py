"""How long a wait can become, and what it depends on."""

import ast
from pathlib import Path

import pytest

from harness.audit.bounds import Bounds
from harness.audit.code import Code
from harness.audit.facts import Facts, ModuleFacts

MODULE = """
import random
from datetime import datetime, timedelta
from waits.numbers import LIMIT, settings

again = 3
DELAYS = (1, 5, 25)
TABLE = {"slow": 90, "fast": 3}


def backoff(retries, *, base=2):
    factor = 2 ** min(retries, 4)
    return base * factor * random.uniform(0.75, 1.25)


def unseen(seconds):
    return WAIT


def later(task, seconds):
    task.apply_async(countdown=seconds)


def callers(task):
    later(task, 30)
    later(task, seconds=LIMIT)


def around():
    return around()


class Job:
    def wait(self):
        return backoff(self.request.retries, base=settings.BASE)

    def run(self):
        delay = 7
        for again in (1, 2):
            pass
        return WAIT
"""


def bounds(tmp_path: Path, expression: str, retries_max: float, name: str) -> tuple[float | None, frozenset[str]]:
    (tmp_path / "waits.py").write_text(MODULE.replace("WAIT", expression))
    (tmp_path / "numbers.py").write_text("")
    facts = Facts(
        module="waits",
        versions={},
        transport="redis",
        visibility_default=None,
        transport_options={},
        result_backend="",
        settings={},
        queues=None,
        failure_receivers=(),
        tasks=(),
        schedule=(),
        modules=(
            ModuleFacts(name="waits", file=str(tmp_path / "waits.py")),
            ModuleFacts(
                name="waits.numbers",
                file=str(tmp_path / "numbers.py"),
                numbers={"LIMIT": 40.0, "settings.BASE": 3.0, "settings.retries": 8.0},
            ),
        ),
    )
    code = Code(facts, tmp_path)
    module = code.modules["waits"]
    function = module.functions[name]
    if name == "later":
        (call,) = (node for node in ast.walk(function.node) if isinstance(node, ast.Call))
        value: ast.expr | None = call.keywords[0].value
    else:
        value = next(node.value for node in ast.walk(function.node) if isinstance(node, ast.Return))
    assert value is not None
    of = Bounds(code, retries_max)
    return of.longest(value, module, function), of.depends_on(value, module, function)


@pytest.mark.parametrize(
    ("expression", "longest", "depends"),
    [
        ("60", 60, set()),
        ("60 * 60 - 10", 3590, set()),
        ("delay", 7, set()),
        ("LIMIT", 40, set()),
        ("again", None, {"unknown"}),
        ("settings.retries", 8, set()),
        ("settings.BASE * 2", 6, set()),
        ("DELAYS[self.request.retries]", 25, {"attempt"}),
        ("TABLE['slow']", 90, set()),
        ("2 ** self.request.retries", 32, {"attempt"}),
        ("60 * (self.request.retries + 1)", 360, {"attempt"}),
        ("min(10 ** self.request.retries, 600)", 600, {"attempt"}),
        ("min(unheard_of(), 600)", 600, {"unknown"}),
        ("max(unheard_of(), 600)", None, {"unknown"}),
        ("unheard_of", None, set()),
        ("self.wait()", 60, {"attempt", "chance"}),
        ("backoff(9)", 40, {"chance"}),
        ("int(random.uniform(2, 4) ** self.request.retries)", 1024, {"attempt", "chance"}),
        ("random.randint(1, 9)", 9, {"chance"}),
        ("random.random() * 60", 60, {"chance"}),
        ("timedelta(minutes=2, seconds=1)", 121, set()),
        ("datetime.now() + timedelta(days=1)", 86400, set()),
        ("1 if delay else 9", 9, set()),
        ("1 << self.request.retries", 32, {"attempt"}),
        ("around()", None, {"unknown"}),
        ("1 / 0", None, set()),
        ("self.request.retries % 3", 3, {"attempt"}),
    ],
)
def test_an_expression_has_a_bound_where_one_can_be_seen(
    tmp_path: Path, expression: str, longest: float | None, depends: set[str]
) -> None:
    assert bounds(tmp_path, expression, 5, "Job.run") == (longest, depends)


def test_what_grows_for_ever_is_known_to_be_large(tmp_path: Path) -> None:
    longest, _ = bounds(tmp_path, "60 * 2 ** self.request.retries", 1e9, "Job.run")
    assert longest is not None
    assert longest > 1e300


def test_a_parameter_is_what_its_callers_pass(tmp_path: Path) -> None:
    assert bounds(tmp_path, "0", 5, "later") == (40, frozenset())


def test_a_parameter_of_a_function_that_nobody_is_seen_to_call_is_not_known(tmp_path: Path) -> None:
    assert bounds(tmp_path, "seconds", 5, "unseen") == (None, frozenset({"unknown"}))
