"""What is given up is set aside, visibly, before its message is acknowledged. See `docs/reference-worker.md`."""

from typing import Any

from sqlalchemy.engine import Engine

from reference_worker.dead_letters import transport
from reference_worker.dead_letters.alert import Alert
from reference_worker.dead_letters.office import Office
from reference_worker.dead_letters.spool import Spool
from reference_worker.dead_letters.table import Table
from reference_worker.settings import Settings


def install(app: Any, settings: Settings, *, engine: Engine) -> Office:
    """Make a Celery application's workers set aside what they give up; call it before the first connection.

    Tasks also need `Request="reference_worker.dead_letters.request:DeadLetteringRequest"`.
    """
    office = Office(
        table=Table(engine),
        spool=Spool(settings.spool_directory),
        alert=Alert(settings.alert_webhook_url),
        body_bytes_max=settings.body_bytes_max,
        worker_losses_max=settings.worker_losses_max,
        retry_seconds=settings.spool_retry_seconds,
    )
    app.reference_letters = office
    app.conf.worker_consumer = "reference_worker.dead_letters.consumer:DeadLetteringConsumer"
    transport.use(office)
    return office
