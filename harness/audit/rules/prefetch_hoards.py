from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject


def check(subject: Subject) -> Iterator[Answer]:
    settings = subject.facts.settings
    multiplier = settings.get("worker_prefetch_multiplier")
    if multiplier == 1 or settings.get("worker_disable_prefetch"):
        return
    if any(task.late for task in subject.facts.tasks):
        many = f"{multiplier} messages a slot" if multiplier else "without limit"
        yield subject.setting("worker_prefetch_multiplier", f"a worker fetches {many}, and acknowledges late")


RULE = Rule(
    name="prefetch-hoards",
    severity=Severity.WARNING,
    failure_modes=("F35", "F86"),
    asks="with late acknowledgement a worker fetches one message a slot",
    hurts="jobs wait behind a slow one in a worker's memory while others idle; past the visibility timeout they run "
    "twice, and when the worker dies all of them wait for it",
    fix="worker_prefetch_multiplier=1",
    check=check,
)
