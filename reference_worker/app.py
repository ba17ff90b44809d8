"""The Celery application and the settings that the practices rest on."""

from celery import Celery

from reference_worker import bugs, dead_letters, settings
from reference_worker.store import Store

SETTINGS = settings.read()

app = Celery("reference_worker", broker=SETTINGS.broker_url, include=["reference_worker.tasks"])
app.conf.update(
    # A crash redelivers: acknowledge after the body, and do not take a dead pool child for an answer.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    # Nothing runs for ever.
    task_soft_time_limit=SETTINGS.soft_limit_seconds,
    task_time_limit=SETTINGS.hard_limit_seconds,
    broker_transport_options={"visibility_timeout": SETTINGS.visibility_timeout_seconds},
    # One queue for each kind of work.
    task_default_queue="notifications",
    # Data, never code.
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
)
app.reference_store = Store(SETTINGS.database_url)
dead_letters.install(app, SETTINGS, engine=app.reference_store.engine)
bugs.plant_in_settings(app, SETTINGS.bug)
