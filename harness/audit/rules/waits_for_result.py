import ast
from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject

_WAITING = frozenset({"get", "join", "join_native", "wait", "wait_for_pending"})
_RESULTS = (".delay()", ".apply_async()", ".send_task()", "AsyncResult()", "GroupResult()", "ResultSet()")
_CANVAS = ("celery.group()()", "celery.chord()()", "celery.chain()()")


def check(subject: Subject) -> Iterator[Answer]:
    code = subject.code
    roots = [function for task in subject.facts.tasks if (function := code.function_of(task)) is not None]
    for function in code.reached(roots):
        for node in ast.walk(function.node):
            match node:
                case ast.Call(func=ast.Attribute(value=owner, attr=attribute)) if attribute in _WAITING:
                    name = code.dotted(owner, function.module, function) or ""
                    if name.endswith(_RESULTS) or name in _CANVAS:
                        what = f"{function} waits for another job's result in a task"
                        yield subject.call(node, function.module, function, what)


RULE = Rule(
    name="waits-for-result",
    severity=Severity.ERROR,
    failure_modes=("F86",),
    asks="no task waits for another one's result",
    hurts="each waiting job holds the slot that the other one needs: under load all slots wait, and none works",
    fix="a chain, a chord or a callback (link) in place of .get()",
    check=check,
    reads="tasks",
)
