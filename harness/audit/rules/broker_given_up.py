from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject


def check(subject: Subject) -> Iterator[Answer]:
    for name in ("broker_connection_retry", "broker_connection_retry_on_startup"):
        if subject.facts.settings.get(name) is False:
            yield subject.setting(name, f"a worker ends when its broker is away ({name} is False)")


RULE = Rule(
    name="broker-given-up",
    severity=Severity.WARNING,
    failure_modes=("F39",),
    asks="a worker waits for its broker to come back",
    hurts="a restart of the broker ends every worker, and a supervisor that counts restarts may have given up by then",
    fix="broker_connection_retry=True, broker_connection_retry_on_startup=True",
    check=check,
)
