from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject

_TYPES = {
    "json": "application/json",
    "yaml": "application/x-yaml",
    "msgpack": "application/x-msgpack",
    "pickle": "application/x-python-serialize",
}


def check(subject: Subject) -> Iterator[Answer]:
    accepted = {_TYPES.get(name, name) for name in map(str, subject.facts.settings.get("accept_content") or ())}
    foreign = accepted - set(_TYPES.values())
    for task in subject.facts.tasks:
        serializer = str(task.options.get("serializer") or "")
        if serializer and _TYPES.get(serializer, serializer) not in accepted:
            known = ", ".join(sorted(accepted)) or "nothing"
            # A serializer of the team's own has a content type that only its registration knows.
            unknown = serializer not in _TYPES and bool(foreign)
            yield subject.task(task, f"is sent as {serializer}, and workers accept {known}", unknown=unknown)


RULE = Rule(
    name="serializer-not-accepted",
    severity=Severity.ERROR,
    failure_modes=("F64",),
    asks="what a task is sent as is accepted by its workers",
    hurts="the worker throws each of its messages away: acknowledged, and gone even with a dead-letter exchange",
    fix="add the serializer to accept_content, or send as one that is there",
    check=check,
)
