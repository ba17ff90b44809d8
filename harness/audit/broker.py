"""What a broker does with a message that nobody acknowledges, by its transport."""

from typing import NamedTuple

from harness.audit.facts import Facts, TaskFacts

REDIS = frozenset({"redis", "rediss", "sentinel"})
HIDING = REDIS | {"sqs"}
AMQP = frozenset({"amqp", "amqps", "pyamqp", "librabbitmq"})
_RABBITMQ_CONSUMER_TIMEOUT_SECONDS = 1800.0
_UNTOLD_SECONDS = {"sqs": 1800.0}  # as kombu has it where its client is not installed; Redis: an hour
_REDIS_SECONDS = 3600.0


class Redelivery(NamedTuple):
    """After how long an unacknowledged message is handed out again, by what; `known` unless a server's own setting."""

    seconds: float
    because: str
    known: bool


def redelivery_of(facts: Facts) -> Redelivery | None:
    """None where it is not known how the transport does it."""
    if facts.transport in HIDING:
        given = facts.transport_options.get("visibility_timeout")
        if isinstance(given, int | float) and not isinstance(given, bool):
            return Redelivery(float(given), f"the visibility timeout of {given:g} s", known=True)
        default = facts.visibility_default or _UNTOLD_SECONDS.get(facts.transport, _REDIS_SECONDS)
        return Redelivery(default, f"the visibility timeout of {default:g} s, which is the default", known=True)
    if facts.transport in AMQP:
        seconds = _RABBITMQ_CONSUMER_TIMEOUT_SECONDS
        because = f"RabbitMQ's consumer_timeout, which is {seconds:g} s unless the server is set to another"
        return Redelivery(seconds, because, known=False)
    return None


def bounds_deliveries(facts: Facts, task: TaskFacts) -> bool:
    """Whether the task's queue has the broker count deliveries and give up: a quorum queue of RabbitMQ."""
    arguments = (facts.queues or {}).get(task.queue, {})
    return facts.transport in AMQP and ("x-delivery-limit" in arguments or arguments.get("x-queue-type") == "quorum")


def has_dead_letter_exchange(facts: Facts, task: TaskFacts) -> bool:
    arguments = (facts.queues or {}).get(task.queue, {})
    return facts.transport in AMQP and "x-dead-letter-exchange" in arguments


def untold(facts: Facts) -> str:
    """Why nothing is known of the broker, for a sentence."""
    if not facts.transport:
        return "no broker is set here (broker_url)"
    return f"what the transport {facts.transport} does is not known here"
