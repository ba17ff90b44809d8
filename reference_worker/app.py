"""The Celery application and the settings that the practices rest on."""

from celery import Celery
from kombu.entity import Exchange, Queue

from reference_worker import dead_letters, pool, settings, shutdown
from reference_worker.bugs.catalogue import plant_in_settings
from reference_worker.database import Database
from reference_worker.deliveries import Deliveries
from reference_worker.monitor import stamping

SETTINGS = settings.read()
QUEUES = ("notifications", "billing", "sync", "exports")

DATABASE = Database(SETTINGS.database_url)

app = Celery("reference_worker", broker=SETTINGS.broker_url, include=["reference_worker.jobs"])
app.conf.update(
    # A crash redelivers: acknowledge after the body, and do not take a dead pool child for an answer.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # One message a slot: what a worker has fetched and not begun waits for its death, too.
    worker_prefetch_multiplier=1,
    # Nothing runs for ever. Exports have their own limits.
    task_soft_time_limit=SETTINGS.soft_limit_seconds,
    task_time_limit=SETTINGS.hard_limit_seconds,
    # One queue for each kind of work, each with its own workers: a flood in one is not felt in another. A queue that
    # is misspelt is an error, not a new queue that nobody drains.
    task_queues=[
        Queue(name, Exchange(name, type="direct"), routing_key=name)  # type: ignore[no-untyped-call] # as kombu is
        for name in QUEUES
    ],
    task_default_queue="notifications",
    task_create_missing_queues=False,
    task_routes={
        "reference_worker.send_verification_email": {"queue": "notifications"},
        "reference_worker.send_invoice_email": {"queue": "notifications"},
        "reference_worker.charge_invoice": {"queue": "billing"},
        "reference_worker.sync_customer": {"queue": "sync"},
        "reference_worker.generate_export": {"queue": "exports"},
    },
    # Data, never code.
    task_serializer="json",
    accept_content=["json"],
    # The records say what is done; a result that nobody reads is one more thing that can fail.
    task_ignore_result=True,
    # The broker goes away and comes back: connect again, for as long as it takes.
    broker_connection_retry=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_connection_timeout=5,
    broker_transport_options={
        "visibility_timeout": SETTINGS.visibility_timeout_seconds,
        # A broker that has vanished without a word is noticed, too.
        "socket_connect_timeout": 5,
        "socket_timeout": 30,
        "socket_keepalive": True,
        "health_check_interval": 25,
    },
    # After the connection is lost a body's acknowledgement reaches nobody and its message comes back; but the body is
    # let go on. What it does is recorded, so the message finds it done; killing it would waste the work and count as
    # a death of its worker.
    worker_cancel_long_running_tasks_on_connection_loss=False,
    # Who publishes waits a little for the broker, and then is told.
    task_publish_retry=True,
    task_publish_retry_policy={"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 1.0},
)
app.reference_database = DATABASE
app.reference_deliveries = Deliveries(DATABASE)
shutdown.connect(app.reference_deliveries)
pool.connect()
dead_letters.install(app, SETTINGS, engine=DATABASE.engine)
stamping.connect()
plant_in_settings(app, SETTINGS.bug)
