from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject


def check(subject: Subject) -> Iterator[Answer]:
    known = {task.name for task in subject.facts.tasks}
    for entry in subject.facts.schedule:
        if entry.task not in known and not entry.task.startswith("celery."):
            yield subject.schedule(entry.name, f"names {entry.task!r}, which no worker has")


RULE = Rule(
    name="schedule-names-no-task",
    severity=Severity.ERROR,
    failure_modes=("F66",),
    asks="the schedule names tasks that there are",
    hurts="every tick sends a message that the worker rejects and forgets; nothing runs, and only its log says so",
    fix="correct the name, or import the module that has the task (include, imports, autodiscover_tasks)",
    check=check,
)
