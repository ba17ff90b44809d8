import ast
from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject
from harness.audit.syntax import at_once

_ENDING = frozenset({"sys.exit", "os._exit", "os.abort", "exit", "quit"})


def check(subject: Subject) -> Iterator[Answer]:
    code = subject.code
    roots = [function for task in subject.facts.tasks if (function := code.function_of(task)) is not None]
    for function in code.reached(roots):
        for node in at_once(function.node.body):
            name = ""
            if isinstance(node, ast.Call):
                name = code.dotted(node.func, function.module, function) or ""
            elif isinstance(node, ast.Raise) and node.exc is not None:
                raised = (code.dotted(node.exc, function.module, function) or "").removesuffix("()")
                name = "raise SystemExit" if raised == "SystemExit" else ""
            if name in _ENDING or name.startswith("raise "):
                what = f"{function} ends its process ({name})"
                yield Answer(what=what, about=f"{function} {name}", at=function.module.place(node))


RULE = Rule(
    name="ends-its-process",
    severity=Severity.ERROR,
    failure_modes=("F10",),
    asks="no task ends the process that it runs in",
    hurts="the pool child is gone with all that it held, and the job is taken for one whose worker was lost",
    fix="raise an exception of the job's own, or return",
    check=check,
    reads="tasks",
)
