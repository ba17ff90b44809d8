from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject


def check(subject: Subject) -> Iterator[Answer]:
    for task in subject.facts.tasks:
        if task.seconds("soft_time_limit") is None:
            yield subject.task(task, "has no soft time limit")


RULE = Rule(
    name="no-soft-limit",
    severity=Severity.WARNING,
    failure_modes=("F79", "F80"),
    asks="every task has a soft time limit",
    hurts="only the hard limit ends it, by SIGKILL: nothing is cleaned up, and its message is acknowledged and gone",
    fix="task_soft_time_limit, some seconds below task_time_limit",
    check=check,
)
