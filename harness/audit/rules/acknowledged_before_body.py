from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject


def check(subject: Subject) -> Iterator[Answer]:
    for task in subject.facts.tasks:
        if not task.late:
            yield subject.task(task, "is acknowledged before its body runs (acks_late is not set)")


RULE = Rule(
    name="acknowledged-before-body",
    severity=Severity.ERROR,
    failure_modes=("F01", "F02", "F04", "F14"),
    asks="a message is acknowledged after the body has run",
    hurts="the broker has forgotten the message when the body begins: a worker that dies in it has lost the job",
    fix="task_acks_late=True, or acks_late=True for the task, and a body that may run twice; where at most once is "
    "meant, accept the finding and say so",
    check=check,
)
