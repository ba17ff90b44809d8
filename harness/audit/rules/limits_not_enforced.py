from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject

_WITHOUT_LIMITS = frozenset({"solo", "threads", "gevent", "eventlet"})


def check(subject: Subject) -> Iterator[Answer]:
    pool = subject.facts.settings.get("worker_pool")
    if pool in _WITHOUT_LIMITS:
        yield subject.setting("worker_pool", f"the pool is {pool}, which does not enforce hard time limits")


RULE = Rule(
    name="limits-not-enforced",
    severity=Severity.WARNING,
    failure_modes=("F73", "F82"),
    asks="the pool is one that enforces time limits",
    hurts="the limits are ignored without a word: a body that hangs keeps its slot for ever",
    fix="worker_pool='prefork', or a timeout around everything that may hang; a pool that is named on the command line "
    "of `celery worker` is not seen here",
    check=check,
)
