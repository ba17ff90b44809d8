import ast
from collections.abc import Iterator

from harness.audit.bounds import Bounds
from harness.audit.finding import Answer, Rule, Severity, Subject
from harness.audit.retrying import retrying
from harness.audit.syntax import keyword


def check(subject: Subject) -> Iterator[Answer]:
    bounds = Bounds(subject.code)
    for task, sites in retrying(subject):
        options = task.options
        if options.get("autoretry_for") and options.get("retry_backoff") and not options.get("retry_jitter", True):
            yield subject.task(task, "is retried without jitter (retry_jitter is off)")
        for site in sites:
            wait = keyword(site.call, "countdown") or keyword(site.call, "eta")
            if wait is None:
                continue
            traits = bounds.depends_on(wait, site.module, site.within)
            if "attempt" in traits and "chance" not in traits:  # what does not even grow is another rule's finding
                what = f"retries after `{ast.unparse(wait)[:80]}`, the same for all jobs that failed together"
                yield subject.call(*site, what, unknown="unknown" in traits)


RULE = Rule(
    name="retries-without-jitter",
    severity=Severity.WARNING,
    failure_modes=("F83", "F84"),
    asks="backoff has some chance in it",
    hurts="jobs that failed together come back together, in waves that take the downstream down again",
    fix="retry_jitter=True, or a factor such as random.uniform(0.75, 1.25)",
    check=check,
    reads="tasks",
)
