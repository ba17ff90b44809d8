import math
from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject
from harness.audit.retrying import retries_max, retrying
from harness.audit.syntax import is_none, keyword


def check(subject: Subject) -> Iterator[Answer]:
    for task, sites in retrying(subject):
        own = [site for site in sites if keyword(site.call, "max_retries") is not None]
        for site in own:
            if is_none(keyword(site.call, "max_retries")):
                yield subject.call(*site, "retries with max_retries=None: for ever")
        if retries_max(task) == math.inf and (len(own) < len(sites) or task.options.get("autoretry_for")):
            yield subject.task(task, "is retried for ever (max_retries is None)")


RULE = Rule(
    name="retries-unbounded",
    severity=Severity.ERROR,
    failure_modes=("F70", "F85"),
    asks="retries are bounded",
    hurts="a job that can never be done is tried for ever, next to all others like it, and nobody is told",
    fix="a max_retries, and something that takes note when they are used up",
    check=check,
    reads="tasks",
)
