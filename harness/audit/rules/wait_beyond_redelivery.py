import ast
from collections.abc import Iterator

from harness.audit.bounds import RETRIES_WITHOUT_BOUND, Bounds
from harness.audit.broker import Redelivery, redelivery_of, untold
from harness.audit.code import Site
from harness.audit.finding import Answer, Rule, Severity, Subject
from harness.audit.retrying import PUBLISHING, autoretry_wait_seconds, retries_max, retrying
from harness.audit.syntax import is_none, keyword


def check(subject: Subject) -> Iterator[Answer]:
    redelivery = redelivery_of(subject.facts)
    if redelivery is None:
        yield subject.setting("broker_url", untold(subject.facts), unknown=True)
        return
    tried: set[ast.Call] = set()
    for task, sites in retrying(subject):
        seconds = autoretry_wait_seconds(task)
        plain = task.seconds("default_retry_delay")
        if any(_wait_of(site) is None for site in sites) and plain is not None:
            seconds = max(seconds or 0.0, plain)
        if seconds is not None and seconds >= redelivery.seconds:
            what = f"waits up to {seconds:g} s between two attempts, which is not below {redelivery.because}"
            yield subject.task(task, what, unknown=not redelivery.known)
        for site in sites:
            tried.add(site.call)
            yield from _judged(
                subject, site, redelivery, Bounds(subject.code, min(retries_max(task), RETRIES_WITHOUT_BOUND))
            )
    for call, module, within in subject.code.calls:
        if call not in tried and isinstance(call.func, ast.Attribute) and call.func.attr in PUBLISHING:
            yield from _judged(subject, Site(call, module, within), redelivery, Bounds(subject.code))


def _wait_of(site: Site) -> ast.expr | None:
    for name in ("countdown", "eta"):
        value = keyword(site.call, name)
        if value is not None and not is_none(value):
            return value
    return None


def _judged(subject: Subject, site: Site, redelivery: Redelivery, bounds: Bounds) -> Iterator[Answer]:
    wait = _wait_of(site)
    if wait is None:
        return
    seconds = bounds.longest(wait, site.module, site.within)
    text = f"`{ast.unparse(wait)[:80]}`"
    if seconds is None:
        what = f"waits for {text}: how long that can become is not known; it must be below {redelivery.because}"
        yield subject.call(*site, what, unknown=True)
    elif seconds >= redelivery.seconds:
        most = f"up to {seconds:g} s" if seconds < RETRIES_WITHOUT_BOUND else "without bound"
        what = f"waits for {text}, {most}, which is not below {redelivery.because}"
        yield subject.call(*site, what, unknown=not redelivery.known)


RULE = Rule(
    name="wait-beyond-redelivery",
    severity=Severity.ERROR,
    failure_modes=("F29", "F30"),
    asks="the longest countdown, ETA and backoff are shorter than the time after which the broker redelivers",
    hurts="a worker keeps a message that waits, unacknowledged: past that time every worker gets a copy, and all "
    "of them run when the wait is over",
    fix="a shorter wait (min(..., LIMIT), retry_backoff_max), or a longer visibility_timeout in "
    "broker_transport_options",
    check=check,
    reads="modules",
)
