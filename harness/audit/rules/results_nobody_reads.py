import ast
from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject
from harness.audit.syntax import at_once

_JOINING = ("celery.group", "celery.chord", "celery.chain", "celery.chunks", "celery.result.", "celery.canvas.")
_READING = frozenset({"get", "ready", "successful", "failed", "state", "status", "wait", "result", "join"})


def check(subject: Subject) -> Iterator[Answer]:
    if subject.facts.result_backend in {"", "disabled"} or _reads(subject):
        return
    for task in subject.facts.tasks:
        function = subject.code.function_of(task)
        if function is None or task.options.get("ignore_result"):
            continue
        returns = [node for node in at_once(function.node.body) if isinstance(node, ast.Return)]
        if all(node.value is None or ast.unparse(node.value) == "None" for node in returns):
            yield subject.task(task, "stores a result, which is always None")


def _reads(subject: Subject) -> bool:
    """Whether the code that is loaded joins tasks or looks at a result."""
    for module in subject.code.modules.values():
        if any(name.startswith(_JOINING) or name.endswith(".AsyncResult") for name in module.imports.values()):
            return True
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and node.attr in _READING:
                owner = subject.code.dotted(node.value, module, module.within.get(node)) or ""
                if owner.endswith((".delay()", ".apply_async()", ".AsyncResult()")):
                    return True
    return False


RULE = Rule(
    name="results-nobody-reads",
    severity=Severity.WARNING,
    failure_modes=("F91", "F92"),
    asks="a result is stored where somebody reads it",
    hurts="each job needs the result backend at its end: where that is down, jobs that have had their effect fail or "
    "hang, for a value that nobody wants",
    fix="task_ignore_result=True, and ignore_result=False for the tasks whose results are read; where other code reads "
    "their states, accept the finding and say so",
    check=check,
    reads="tasks",
)
