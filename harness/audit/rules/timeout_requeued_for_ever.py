from collections.abc import Iterator

from harness.audit.broker import bounds_deliveries
from harness.audit.finding import Answer, Rule, Severity, Subject

_REQUEUES_SINCE = (5, 5)


def check(subject: Subject) -> Iterator[Answer]:
    if subject.facts.celery < _REQUEUES_SINCE:
        return
    for task in subject.facts.tasks:
        options = task.options
        acks = options.get("acks_on_timeout", options.get("acks_on_failure_or_timeout"))
        is_bounded = bounds_deliveries(subject.facts, task)
        if task.late and acks is False and task.seconds("time_limit") is not None and not is_bounded:
            yield subject.task(task, "is put back each time its hard limit ends it, and nobody counts")


RULE = Rule(
    name="timeout-requeued-for-ever",
    severity=Severity.ERROR,
    failure_modes=("F81",),
    asks="a job that its hard limit has ended is not tried for ever",
    hurts="Celery 5.5 and later requeue it at once: a job that hangs takes a slot for ever, one limit after the other",
    fix="leave acks_on_timeout (acks_on_failure_or_timeout) on, and set the job aside where it is given up; on "
    "RabbitMQ a quorum queue with x-delivery-limit",
    check=check,
)
