from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject


def check(subject: Subject) -> Iterator[Answer]:
    for task in subject.facts.tasks:
        if task.seconds("time_limit") is None:
            yield subject.task(task, "has no hard time limit")


RULE = Rule(
    name="no-hard-limit",
    severity=Severity.ERROR,
    failure_modes=("F73", "F80"),
    asks="every task has a hard time limit",
    hurts="a body that hangs (a lock, a peer that drips) keeps its slot for ever; enough of them, and nobody works",
    fix="task_time_limit for all, time_limit for the task that needs longer; a limit given to `celery worker` on its "
    "command line is not seen here",
    check=check,
)
