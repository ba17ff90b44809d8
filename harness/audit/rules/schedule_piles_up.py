from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject


def check(subject: Subject) -> Iterator[Answer]:
    expiring = {task.name for task in subject.facts.tasks if task.options.get("expires")}
    for entry in subject.facts.schedule:
        if entry.expires is None and entry.task not in expiring and not entry.task.startswith("celery."):
            yield subject.schedule(entry.name, f"sends messages that never expire ({entry.schedule})")


RULE = Rule(
    name="schedule-piles-up",
    severity=Severity.WARNING,
    failure_modes=("F96", "F98"),
    asks="a scheduled message expires before its next one",
    hurts="while the workers are away each tick adds a message; when they are back all of them run, one after the "
    "other or next to each other",
    fix="options={'expires': seconds} in the entry, about one period; where every tick must run, accept it and say so",
    check=check,
)
