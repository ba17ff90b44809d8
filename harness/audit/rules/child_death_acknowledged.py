from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject

_WITHOUT_CHILDREN = frozenset({"solo", "threads", "gevent", "eventlet"})


def check(subject: Subject) -> Iterator[Answer]:
    if subject.facts.settings.get("worker_pool") in _WITHOUT_CHILDREN:
        return
    for task in subject.facts.tasks:
        rejects = task.options.get("reject_on_worker_lost") or task.options.get("retry_on_worker_lost")
        if task.late and not rejects:
            yield subject.task(task, "is acknowledged when its pool child dies (reject_on_worker_lost is not set)")


RULE = Rule(
    name="child-death-acknowledged",
    severity=Severity.ERROR,
    failure_modes=("F01", "F09"),
    asks="late acknowledgement goes with reject-on-worker-lost",
    hurts="when the kernel kills a pool child for its memory, the main process writes FAILURE and acknowledges: late "
    "acknowledgement alone loses the job all the same",
    fix="task_reject_on_worker_lost=True, or from Celery 5.7 task_retry_on_worker_lost=True, which is bounded",
    check=check,
)
