from collections.abc import Iterator

from harness.audit.broker import AMQP, REDIS, untold
from harness.audit.finding import Answer, Rule, Severity, Subject


def check(subject: Subject) -> Iterator[Answer]:
    facts = subject.facts
    options = facts.transport_options
    if facts.transport in REDIS:
        missing = [] if options.get("socket_connect_timeout") else ["socket_connect_timeout"]
        if not options.get("socket_timeout") and not options.get("socket_keepalive"):
            missing.append("socket_timeout or socket_keepalive")
        if missing:
            what = f"a broker that has vanished without a word is waited for: no {' and no '.join(missing)}"
            yield subject.setting("broker_transport_options", what)
    elif facts.transport not in AMQP:
        yield subject.setting("broker_url", untold(facts), unknown=True)
    elif not facts.settings.get("broker_heartbeat"):
        what = "a broker that has vanished without a word is waited for: no heartbeat"
        yield subject.setting("broker_heartbeat", what)


RULE = Rule(
    name="silent-broker-unnoticed",
    severity=Severity.WARNING,
    failure_modes=("F05", "F46"),
    asks="a connection whose other end has vanished is noticed",
    hurts="a lost host or a firewall sends no word: the worker waits on a dead connection, alive and deaf, and "
    "producers hang in delay()",
    fix="broker_transport_options with socket_connect_timeout, socket_timeout (above the time of a blocking read) "
    "and socket_keepalive; on RabbitMQ broker_heartbeat",
    check=check,
)
