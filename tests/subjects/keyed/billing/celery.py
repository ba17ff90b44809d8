import os

from celery import Celery

app = Celery(
    "billing", broker=os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0"), include=["billing.tasks"]
)

app.conf.update(
    task_acks_late=True,
    task_retry_on_worker_lost=True,  # and counted: a charge that takes its worker down is given up
    worker_prefetch_multiplier=1,
    task_time_limit=40,
    task_soft_time_limit=30,
    task_ignore_result=True,
    task_default_queue="charges",
    worker_cancel_long_running_tasks_on_connection_loss=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": 900,
        "socket_connect_timeout": 5,
        "socket_timeout": 30,
        "socket_keepalive": True,
        "health_check_interval": 25,
    },
)
