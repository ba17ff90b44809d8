"""How a task is tried again: by Celery's own `autoretry_for`, or where its source says `self.retry(...)`."""

import ast
import math
from collections.abc import Iterator

from harness.audit.code import Code, Site
from harness.audit.facts import TaskFacts
from harness.audit.finding import Subject

# Celery's ways to publish a message that take `countdown` or `eta`.
PUBLISHING = frozenset({"retry", "apply_async", "send_task", "signature", "signature_from_request", "set"})
_BACKOFF_SECONDS_MAX = 600.0


def retries_of(code: Code, task: TaskFacts) -> list[Site]:
    """Where the task's function, what it calls and what it inherits ask for another attempt."""
    function = code.function_of(task)
    roots = [*([function] if function is not None else []), *code.methods_of(task)]
    reached = set(code.reached(roots))
    return [site for site in code.calls_named("retry") if site.within in reached and _is_retry(site, code)]


def _is_retry(site: Site, code: Code) -> bool:
    """`self.retry(...)`, `task.retry(...)`; not the function of a library that is called so."""
    if not isinstance(site.call.func, ast.Attribute):
        return False
    root = _top(code.dotted(site.call.func.value, site.module, site.within) or "")
    libraries = {_top(name) for name in site.module.imports.values()}
    return root not in libraries or root == "celery" or root in map(_top, code.modules)


def _top(name: str) -> str:
    return name.split(".", maxsplit=1)[0]


def retrying(subject: Subject) -> Iterator[tuple[TaskFacts, list[Site]]]:
    """The tasks that are ever tried again, with where they ask for it in the source."""
    for task in subject.facts.tasks:
        sites = retries_of(subject.code, task)
        if sites or task.options.get("autoretry_for"):
            yield task, sites


def retries_max(task: TaskFacts) -> float:
    """How many times: infinite where it is not bounded."""
    kwargs = task.options.get("retry_kwargs") or {}
    given = kwargs.get("max_retries", task.options.get("max_retries"))
    return float(given) if isinstance(given, int | float) else math.inf


def autoretry_wait_seconds(task: TaskFacts) -> float | None:
    """The longest wait between two attempts of `autoretry_for`; None if the task has none or it cannot be told."""
    options = task.options
    if not options.get("autoretry_for"):
        return None
    if not options.get("retry_backoff"):
        given = (options.get("retry_kwargs") or {}).get("countdown", options.get("default_retry_delay"))
        return float(given) if isinstance(given, int | float) else None
    most = float(options.get("retry_backoff_max") or _BACKOFF_SECONDS_MAX)
    doublings = min(retries_max(task), 64.0)  # more would not fit a number, and no limit is that large
    return float(min(most, max(1.0, float(options["retry_backoff"])) * 2.0**doublings))
