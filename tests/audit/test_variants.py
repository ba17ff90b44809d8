"""What is right or cannot be decided on another broker, with another base class, in another style."""

from collections.abc import Set as AbstractSet
from typing import NamedTuple

import pytest

from tests.audit.conftest import AuditOf

FOUND, UNKNOWN = "found", "unknown"
BROKER = "redis://:hunter2@localhost:6379/0"
RETRIED = "    task_retry_on_worker_lost=True,\n"
ON_FAILURE = "    def on_failure("
QUEUES = 'task_queues=[Queue("mail"), Queue("orders")]'
QUORUM = """task_queues=[
        Queue(name, queue_arguments={"x-queue-type": "quorum", "x-dead-letter-exchange": "dead"})
        for name in ("mail", "orders")
    ]"""


COUNTING = """
from celery.worker.request import Request


class Counting(Request):
    def execute_using_pool(self, pool, **kwargs):
        return super().execute_using_pool(pool, **kwargs)

    def on_failure(self, exc_info, send_failed_event=True, return_ok=False):
        return super().on_failure(exc_info, send_failed_event, return_ok)


"""
THEN_COMMIT = """        from sqlalchemy.orm import Session

        with Session() as session:
            total.delay("9")
            session.commit()
        with transaction.atomic():
"""
AFTER_COMMIT = """        from sqlalchemy.orm import Session

        with Session() as session:
            session.commit()
            total.delay("9")
        with transaction.atomic():
"""
ATOMIC = "        with transaction.atomic():\n"
RECEIVER = """from celery.signals import task_failure


@task_failure.connect
def keep(**kwargs): ...


def announce():"""
SAME_NAME = """app.register_task(Sweep())


@app.task(base=Kept, name="shop.tasks.again")
def announce():
    total.delay("3").get()
"""
DEFAULT_TIMEOUT = """import smtplib
import socket

socket.setdefaulttimeout(9)


def"""


class Variant(NamedTuple):
    """Replacements in the correct application, and what each rule says then."""

    means: str
    replaced: dict[str, str]
    expected: AbstractSet[tuple[str, str]] = frozenset()


VARIANTS = (
    Variant("RabbitMQ with a heartbeat", {BROKER: "amqp://localhost"}),
    Variant(
        "RabbitMQ without one",
        {BROKER: "amqp://localhost", "    worker_pool": "    broker_heartbeat=0,\n    worker_pool"},
        {("silent-broker-unnoticed", FOUND)},
    ),
    Variant(
        "RabbitMQ and a limit above its default consumer_timeout",
        {BROKER: "amqp://localhost", "task_time_limit=60": "task_time_limit=3600"},
        {("limit-beyond-redelivery", UNKNOWN)},
    ),
    Variant(
        "a quorum queue counts deliveries and has a dead-letter exchange",
        {
            BROKER: "amqp://localhost",
            RETRIED: "    task_acks_on_failure_or_timeout=False,\n",
            QUEUES: QUORUM,
            ON_FAILURE: "    def no_more(",
        },
    ),
    Variant(
        "no broker is set",
        {f'broker="{BROKER}", ': ""},
        {
            (rule, UNKNOWN)
            for rule in (
                "limit-beyond-redelivery",
                "wait-beyond-redelivery",
                "silent-broker-unnoticed",
                "visibility-timeout-default",
            )
        },
    ),
    Variant("several brokers, the first of which counts", {f'"{BROKER}"': f'["{BROKER}", "amqp://localhost"]'}),
    Variant(
        "a request class refuses what was delivered too often, and sets it aside",
        {
            RETRIED: "",
            ON_FAILURE: "    def no_more(",
            "    abstract = True\n": "    abstract = True\n    Request = 'shop.mail:Counting'\n",
            "def deliver(": COUNTING + "def deliver(",
        },
    ),
    Variant(
        "a request class that is not there",
        {RETRIED: "", "    abstract = True\n": "    abstract = True\n    Request = 'shop.nowhere:Counting'\n"},
        {("worker-loss-unbounded", UNKNOWN)},
    ),
    Variant(
        "a base class that may count deliveries",
        {RETRIED: "", ON_FAILURE: "    def __call__(self, *a, **k):\n        print(self.request)\n\n" + ON_FAILURE},
        {("worker-loss-unbounded", UNKNOWN)},
    ),
    Variant(
        "a base class that only opens a context, as Flask's documentation has it",
        {
            RETRIED: "",
            ON_FAILURE: "    def __call__(self, *a, **k):\n        return self.run(*a, **k)\n\n" + ON_FAILURE,
        },
        {("worker-loss-unbounded", FOUND)},
    ),
    Variant(
        "a receiver of the team's is told of failures",
        {
            ON_FAILURE: "    def no_more(",
            "def announce():": RECEIVER,
        },
    ),
    Variant(
        "whoever enqueues may give an errback",
        {ON_FAILURE: "    def no_more(", "countdown=SETTINGS.base * 60": "link_error=app.signature('shop.keep')"},
        {("no-dead-letter-path", UNKNOWN)},
    ),
    Variant(
        "arguments that cannot be seen may hold a timeout",
        {'requests.get("http://localhost/", timeout=3)': 'requests.get("http://localhost/", **{"timeout": 3})'},
        {("call-without-timeout", UNKNOWN)},
    ),
    Variant(
        "an adapter that the session was given may hold a timeout",
        {
            "session = requests.Session()\n": "session = requests.Session()\nsession.mount('http://', print)\n",
            ", timeout=SETTINGS.patience": "",
        },
        {("call-without-timeout", UNKNOWN)},
    ),
    Variant(
        "sockets have a default timeout",
        {', 25, "localhost", 10': "", "import smtplib\n\n\ndef": DEFAULT_TIMEOUT},
    ),
    Variant(
        "a backoff that nobody can follow",
        {"countdown=self.wait_seconds()": "countdown=unheard_of(error)"},
        {("retries-without-backoff", UNKNOWN), ("wait-beyond-redelivery", UNKNOWN)},
    ),
    Variant(
        "a backoff without a bound",
        {"min(SETTINGS.base * 2**self.request.retries, 600)": "SETTINGS.base * 4**self.request.retries"},
        {("wait-beyond-redelivery", FOUND)},
    ),
    Variant(
        "a router that needs its arguments",
        {'{"shop.tasks.send_*": {"queue": "mail"}}': "(lambda name, args, kwargs, options, task=None, **kw: args[0],)"},
        {("queue-nobody-drains", UNKNOWN)},
    ),
    Variant(
        "a session that commits after it has enqueued",
        {ATOMIC: THEN_COMMIT},
        {("published-in-transaction", FOUND)},
    ),
    Variant(
        "a session that enqueues after it has committed",
        {ATOMIC: AFTER_COMMIT},
    ),
    Variant(
        "a second function of the same name is a task, too",
        {"app.register_task(Sweep())": SAME_NAME},
        {("waits-for-result", FOUND)},
    ),
    Variant(
        "results are joined somewhere",
        {
            "    return number\n": "    log.info(number)\n    chord\n",
            "from celery import Task, ": "from celery import Task, chord, ",
        },
    ),
)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.means)
def test_a_variant_is_judged_as_it_is(audit_of: AuditOf, variant: Variant) -> None:
    audit = audit_of(variant.replaced)
    assert {(finding.rule, finding.kind) for finding in audit.findings} == variant.expected
