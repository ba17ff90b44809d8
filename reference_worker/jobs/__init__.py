"""The jobs, one a file."""

from reference_worker import previous
from reference_worker.app import SETTINGS, app
from reference_worker.bugs.catalogue import plant_in_tasks
from reference_worker.jobs import (
    charge_invoice,
    generate_export,
    send_invoice_email,
    send_verification_email,
    sync_customer,
)

__all__ = ["charge_invoice", "generate_export", "send_invoice_email", "send_verification_email", "sync_customer"]

if SETTINGS.release == previous.NAME:
    previous.take_back(app)
plant_in_tasks(app, SETTINGS.bug)
