import ast
from collections.abc import Iterator

from harness.audit.broker import bounds_deliveries
from harness.audit.facts import TaskFacts
from harness.audit.finding import Answer, Rule, Severity, Subject

# Where the main process can refuse a delivery before a child dies of it.
_GATES = frozenset({"execute", "execute_using_pool", "revoked"})


def check(subject: Subject) -> Iterator[Answer]:
    for task in subject.facts.tasks:
        if not task.late or not task.options.get("reject_on_worker_lost") or bounds_deliveries(subject.facts, task):
            continue
        retried = task.options.get("retry_on_worker_lost") and task.options.get("max_retries") is not None
        if retried or (task.request_overrides and _GATES & set(task.request_overrides)):
            continue
        if task.request_overrides is None:
            yield subject.task(
                task, "has a request class that cannot be imported: who counts its deliveries?", unknown=True
            )
        elif _may_count(subject, task):
            yield subject.task(
                task,
                "is redelivered each time it kills its worker, unless what it does before its body counts deliveries",
                unknown=True,
            )
        else:
            yield subject.task(task, "is redelivered each time it kills its worker, and nobody counts")


def _may_count(subject: Subject, task: TaskFacts) -> bool:
    """Whether what runs before the body looks at its request, as one that counts deliveries must."""
    return any(
        isinstance(node, ast.Attribute) and node.attr == "request"
        for method in subject.code.methods_of(task)
        if method.node.name in {"__call__", "before_start"}
        for node in ast.walk(method.node)
    )


RULE = Rule(
    name="worker-loss-unbounded",
    severity=Severity.ERROR,
    failure_modes=("F08", "F72"),
    asks="a job that kills its worker each time is given up after a few deaths",
    hurts="an input that takes its worker down comes back for ever, and takes down one worker after the other",
    fix="from Celery 5.7 task_retry_on_worker_lost=True with max_retries; on RabbitMQ a quorum queue with "
    "x-delivery-limit; else a Request class whose execute_using_pool refuses what has been delivered too often",
    check=check,
)
