from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject

_CODE = frozenset({"pickle", "application/x-python-serialize", "application/x-python-pickle"})


def check(subject: Subject) -> Iterator[Answer]:
    settings = subject.facts.settings
    for name in ("accept_content", "result_accept_content"):
        if _CODE & set(settings.get(name) or ()):
            yield subject.setting(name, f"{name} has pickle in it")
    for task in subject.facts.tasks:
        if task.options.get("serializer") in _CODE:
            yield subject.task(task, "is sent as pickle")


RULE = Rule(
    name="pickle-accepted",
    severity=Severity.ERROR,
    failure_modes=("F18", "F64"),
    asks="messages are data, never code",
    hurts="who can write to the broker runs code in every worker; and after a deploy that moves a class an old message "
    "cannot be read, and is acknowledged and gone",
    fix="accept_content=['json'], task_serializer='json', and plain values for arguments",
    check=check,
)
