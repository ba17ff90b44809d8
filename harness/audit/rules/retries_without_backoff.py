import ast
from collections.abc import Iterator

from harness.audit.bounds import Bounds
from harness.audit.finding import Answer, Rule, Severity, Subject
from harness.audit.retrying import retrying
from harness.audit.syntax import has_splat, is_none, keyword


def check(subject: Subject) -> Iterator[Answer]:
    bounds = Bounds(subject.code)
    for task, sites in retrying(subject):
        if task.options.get("autoretry_for") and not task.options.get("retry_backoff"):
            yield subject.task(task, "is retried at a fixed interval (retry_backoff is not set)")
        for site in sites:
            wait = keyword(site.call, "countdown")
            wait = keyword(site.call, "eta") if wait is None or is_none(wait) else wait
            if wait is None or is_none(wait):
                what = "retries after default_retry_delay, the same each time"
                yield subject.call(*site, what, unknown=has_splat(site.call))
                continue
            traits = bounds.depends_on(wait, site.module, site.within)
            if "attempt" not in traits:
                text = ast.unparse(wait)[:80]
                what = f"retries after `{text}`, which does not grow with the number of the attempt"
                yield subject.call(*site, what, unknown="unknown" in traits)


RULE = Rule(
    name="retries-without-backoff",
    severity=Severity.WARNING,
    failure_modes=("F83",),
    asks="each retry waits longer than the one before",
    hurts="while the downstream is down all jobs knock on it at a steady rate, and their retries are soon used up",
    fix="retry_backoff=True, or a countdown that doubles with self.request.retries up to a limit",
    check=check,
    reads="tasks",
)
