"""A correct application, full of what looks like a mistake and is none, and every mistake that a rule is to find in it.

A mistake is planted by replacing a piece of the correct source. Nothing else may be found then.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

CELERY = """
from celery import Celery
from kombu import Queue

app = Celery(
    "shop", broker="redis://:hunter2@localhost:6379/0", backend="redis://localhost/1", include=["shop.tasks"]
)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_retry_on_worker_lost=True,
    task_soft_time_limit=50,
    task_time_limit=60,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    result_expires=3600,
    worker_pool="prefork",
    worker_prefetch_multiplier=1,
    task_queues=[Queue("mail"), Queue("orders")],
    task_routes={"shop.tasks.send_*": {"queue": "mail"}},
    task_default_queue="orders",
    broker_connection_retry=True,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": 900, "socket_connect_timeout": 5, "socket_timeout": 30, "socket_keepalive": True
    },
    beat_schedule={
        "sweep": {"task": "shop.tasks.sweep", "schedule": 60.0, "options": {"expires": 55}},
    },
)
"""

TASKS = '''
import contextlib
import logging
import random
import smtplib

import requests
from celery import Task, shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction

from shop.celery import app
from shop.mail import deliver
from shop.settings import SETTINGS

log = logging.getLogger(__name__)
session = requests.Session()
BROAD = (ValueError, Exception)


class Kept(Task):
    """What is given up is kept."""

    abstract = True

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        log.error("set aside: %s %s", task_id, args)

    def before_start(self, task_id, args, kwargs):
        try:
            log.info("begins: %s", task_id)
        except Exception:
            pass

    def wait_seconds(self):
        return min(SETTINGS.base * 2**self.request.retries, 600) * random.uniform(0.5, 1.0)


@shared_task(bind=True, base=Kept, max_retries=5)
def send_invoice(self, invoice_id):
    try:
        deliver(invoice_id)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:
        raise self.retry(exc=error, countdown=self.wait_seconds())


@shared_task(
    base=Kept, autoretry_for=(OSError,), retry_backoff=2, retry_backoff_max=300, retry_jitter=True, max_retries=8
)
def send_receipt(order_id):
    with contextlib.suppress(OSError):
        requests.get("http://localhost/", timeout=3)
    session.get("http://localhost/", timeout=SETTINGS.patience)


@app.task(base=Kept, ignore_result=False)
def total(order_id):
    try:
        number = int(order_id)
    except ValueError:
        number = 0
    return number


class Sweep(Kept):
    """A task that is a class."""

    name = "shop.tasks.sweep"

    def run(self):
        with transaction.atomic():
            transaction.on_commit(lambda: total.delay("1"))
            transaction.on_commit(announce)
        total.apply_async(("2",), countdown=SETTINGS.base * 60)


def announce():
    send_receipt.delay("3")


app.register_task(Sweep())
'''

MAIL = '''
import smtplib


def deliver(invoice_id):
    """By mail, and in time."""
    server = smtplib.SMTP("localhost", 25, "localhost", 10)
    try:
        server.noop()
    finally:
        server.close()
'''

SETTINGS = """
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    base: float = 2.0
    patience: float = 4.0


SETTINGS = Settings()
"""

DJANGO = """
import contextlib


def atomic(function=None):
    return function or contextlib.nullcontext()


def on_commit(function):
    function
"""

CORRECT = {
    "shop/__init__.py": "",
    "shop/celery.py": CELERY,
    "shop/tasks.py": TASKS,
    "shop/mail.py": MAIL,
    "shop/settings.py": SETTINGS,
    # What stands for Django, which is not the team's code.
    "site-packages/django/__init__.py": "",
    "site-packages/django/db/__init__.py": "",
    "site-packages/django/db/transaction.py": DJANGO,
}


class Planted(NamedTuple):
    """A mistake in `rule`'s eyes: `correct` in a file becomes `wrong`.

    `at` is on the line that is told, where it is given; `also` is what other rules truly say of it.
    """

    rule: str
    correct: str
    wrong: str
    at: str = ""
    also: tuple[str, ...] = ()


SWEEP_BODY = """        with transaction.atomic():
            transaction.on_commit(lambda: total.delay("1"))
            transaction.on_commit(announce)
"""

RETRY = """    except SoftTimeLimitExceeded:
        raise
    except Exception as error:
        raise self.retry(exc=error, countdown=self.wait_seconds())
"""
AROUND = """    def __call__(self, *args, **kwargs):
        try:
            return self.attempt(args, kwargs)
        except BROAD:
            return None

    def attempt(self, args, kwargs):
        return self.run(*args, **kwargs)

"""
SWALLOW = """    except Exception:
        log.exception("no")
"""
ONCE = """        self.once()

    @transaction.atomic
    def once(self):
        total.delay("1")
"""
MAIL_TRY = """    try:
        server.noop()
"""
ROUTES = """    task_routes={"shop.tasks.send_*": {"queue": "mail"}},
"""
MISSPELT = """    task_routes={"shop.tasks.send_*": {"queue": "mial"}},
    task_create_missing_queues=False,
"""
CONNECTION = """session = requests.Session()
import sqlite3

server = sqlite3.connect(":memory:")
"""

PLANTED = (
    Planted(
        "acknowledged-before-body", "base=Kept, ignore_result=False", "base=Kept, ignore_result=False, acks_late=False"
    ),
    Planted(
        "child-death-acknowledged",
        "    task_reject_on_worker_lost=True,\n    task_retry_on_worker_lost=True,\n",
        "",
    ),
    Planted("worker-loss-unbounded", "    task_retry_on_worker_lost=True,\n", "", at="@shared_task(bind=True"),
    Planted("no-hard-limit", "    task_time_limit=60,\n", ""),
    Planted("no-soft-limit", "    task_soft_time_limit=50,\n", ""),
    Planted("soft-limit-not-below-hard", "max_retries=5)", "max_retries=5, soft_time_limit=60)"),
    Planted("limits-not-enforced", 'worker_pool="prefork"', 'worker_pool="threads"', at="worker_pool"),
    Planted("soft-limit-swallowed", RETRY, SWALLOW, at="except Exception"),
    Planted("soft-limit-swallowed", "contextlib.suppress(OSError)", "contextlib.suppress(Exception)", at="suppress"),
    Planted("soft-limit-swallowed", MAIL_TRY, MAIL_TRY + "    except:\n        pass\n", at="except:"),
    Planted("soft-limit-swallowed", "    def on_failure(", AROUND + "    def on_failure(", at="except BROAD"),
    Planted(
        "limit-beyond-redelivery",
        '"visibility_timeout": 900',
        '"visibility_timeout": 60',
        also=("wait-beyond-redelivery",),
    ),
    Planted(
        "wait-beyond-redelivery", "countdown=SETTINGS.base * 60", "countdown=SETTINGS.base * 450", at="apply_async"
    ),
    Planted(
        "wait-beyond-redelivery", "retry_backoff=2, retry_backoff_max=300", "retry_backoff=9, retry_backoff_max=3000"
    ),
    Planted(
        "timeout-requeued-for-ever",
        "task_acks_late=True,",
        "task_acks_late=True,\n    task_acks_on_failure_or_timeout=False,",
    ),
    Planted("visibility-timeout-default", '"visibility_timeout": 900, ', "", at="broker_transport_options"),
    Planted("retries-unbounded", "max_retries=5)", "max_retries=None)", also=("worker-loss-unbounded",)),
    Planted("retries-unbounded", "retry(exc=error, ", "retry(exc=error, max_retries=None, ", at="retry(exc"),
    Planted("retries-without-backoff", "retry_backoff=2, ", ""),
    Planted(
        "retries-without-backoff", "countdown=self.wait_seconds()", "countdown=30 + random.random()", at="retry(exc"
    ),
    Planted("retries-without-backoff", ", countdown=self.wait_seconds()", "", at="retry(exc"),
    Planted("retries-without-jitter", "retry_jitter=True", "retry_jitter=False"),
    Planted("retries-without-jitter", " * random.uniform(0.5, 1.0)", "", at="retry(exc"),
    Planted("no-dead-letter-path", "def on_failure(", "def on_nothing("),
    Planted(
        "published-in-transaction",
        'transaction.on_commit(lambda: total.delay("1"))',
        'total.delay("1")',
        at='total.delay("1")',
    ),
    Planted("published-in-transaction", "transaction.on_commit(announce)", "announce()", at="announce()"),
    Planted("published-in-transaction", SWEEP_BODY, ONCE, at='total.delay("1")'),
    Planted("call-without-timeout", '"http://localhost/", timeout=3', '"http://localhost/"', at="requests.get"),
    Planted("call-without-timeout", ", timeout=SETTINGS.patience", "", at="session.get"),
    Planted("call-without-timeout", ', 25, "localhost", 10', "", at="smtplib.SMTP"),
    Planted(
        "waits-for-result",
        'total.apply_async(("2",)',
        'total.delay("7").get()\n        total.apply_async(("2",)',
        at=".get()",
    ),
    Planted("ends-its-process", "        number = 0\n", "        import sys\n\n        sys.exit(1)\n", at="sys.exit"),
    Planted("connection-before-fork", "session = requests.Session()\n", CONNECTION, at="server ="),
    Planted("prefetch-hoards", "    worker_prefetch_multiplier=1,\n", ""),
    Planted("one-queue-for-all", ROUTES, ""),
    Planted("queue-nobody-drains", '{"queue": "mail"}', '{"queue": "mial"}'),
    Planted("queue-nobody-drains", ROUTES, MISSPELT),
    Planted("pickle-accepted", 'accept_content=["json"]', 'accept_content=["json", "pickle"]', at="accept_content"),
    Planted("serializer-not-accepted", 'accept_content=["json"]', 'accept_content=["yaml"]'),
    Planted("results-kept-for-ever", "result_expires=3600", "result_expires=None", at="result_expires"),
    Planted("results-nobody-reads", "    return number\n", "    log.info(number)\n"),
    Planted(
        "silent-broker-unnoticed",
        '"socket_connect_timeout": 5, "socket_timeout": 30, "socket_keepalive": True',
        "",
        at="broker_transport_options",
    ),
    Planted(
        "broker-given-up",
        "broker_connection_retry_on_startup=True",
        "broker_connection_retry_on_startup=False",
        at="on_startup",
    ),
    Planted("schedule-names-no-task", '"task": "shop.tasks.sweep"', '"task": "shop.tasks.weep"', at='"sweep"'),
    Planted("schedule-piles-up", ', "options": {"expires": 55}', "", at='"sweep"'),
)


def write(directory: Path, replaced: Mapping[str, str] = MappingProxyType({})) -> Path:
    """The application in a folder, with pieces of it replaced; each is there just once."""
    for piece in replaced:
        assert sum(text.count(piece) for text in CORRECT.values()) == 1, piece
    for name, text in CORRECT.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for piece, other in replaced.items():
            text = text.replace(piece, other)  # noqa: PLW2901 - one piece after the other
        path.write_text(text)
    return directory
