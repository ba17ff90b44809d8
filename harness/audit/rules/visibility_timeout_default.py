from collections.abc import Iterator

from harness.audit.broker import HIDING, redelivery_of, untold
from harness.audit.finding import Answer, Rule, Severity, Subject


def check(subject: Subject) -> Iterator[Answer]:
    facts = subject.facts
    if not facts.transport:
        yield subject.setting("broker_url", untold(facts), unknown=True)
    redelivery = redelivery_of(facts)
    is_given = "visibility_timeout" in facts.transport_options
    if redelivery is None or facts.transport not in HIDING or is_given or not any(task.late for task in facts.tasks):
        return
    yield subject.setting("broker_transport_options", f"messages come back after {redelivery.because}")


RULE = Rule(
    name="visibility-timeout-default",
    severity=Severity.WARNING,
    failure_modes=("F02", "F28", "F35"),
    asks="the visibility timeout is chosen",
    hurts="what a dead worker had taken lies hidden for as long as the default, an hour on Redis; and nobody has "
    "compared it with the longest job",
    fix="broker_transport_options={'visibility_timeout': seconds}: above the longest limit and wait, below what a "
    "job may be late; the same in all applications on the broker, since the shortest wins",
    check=check,
)
