import logging
from typing import Any

from reference_worker.app import DATABASE, SETTINGS, app
from reference_worker.downstream import crm
from reference_worker.downstream.errors import FencedOffError
from reference_worker.jobs.base import Job
from reference_worker.records import customers

_log = logging.getLogger(__name__)


class UnknownCustomerError(Exception):
    """There is no such customer, and no retry will make one."""


@app.task(bind=True, base=Job, name="reference_worker.sync_customer")
def sync_customer(_self: Any, customer_id: str) -> None:
    """Bring the copy of a customer up to date, each version once.

    The message only says whose: what is sent is read now, so a message that comes late brings nothing old. The key is
    the version's, and the version is a fence: whatever a slow request brings, an older one never replaces a newer one,
    neither in the copy nor in our record of it.
    """
    customer = customers.find(DATABASE, customer_id)
    if customer is None:
        raise UnknownCustomerError(customer_id)
    if customer.synced_version >= customer.version:
        return
    try:
        crm.put(customer, url=SETTINGS.crm_url, timeout_seconds=SETTINGS.client_timeout_seconds)
    except FencedOffError as error:
        _log.info("%s: whoever has sent it records it", error)
        return
    customers.mark_synced(DATABASE, customer_id, version=customer.version)
