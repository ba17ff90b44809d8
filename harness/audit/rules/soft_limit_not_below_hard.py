from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject


def check(subject: Subject) -> Iterator[Answer]:
    for task in subject.facts.tasks:
        soft, hard = task.seconds("soft_time_limit"), task.seconds("time_limit")
        if soft is not None and hard is not None and soft >= hard:
            yield subject.task(task, f"has a soft limit of {soft:g} s and a hard one of {hard:g} s")


RULE = Rule(
    name="soft-limit-not-below-hard",
    severity=Severity.ERROR,
    failure_modes=("F80",),
    asks="the soft limit is below the hard one",
    hurts="the soft limit never comes: SIGKILL does, in the middle of whatever the body was doing",
    fix="a soft limit that leaves time to clean up before the hard one; one of the two may come from the settings",
    check=check,
)
