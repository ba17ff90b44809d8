from typing import Any

from reference_worker.app import DATABASE, SETTINGS, app
from reference_worker.downstream import crm
from reference_worker.jobs.base import Job
from reference_worker.records import customers


class UnknownCustomerError(Exception):
    """There is no such customer, and no retry will make one."""


@app.task(bind=True, base=Job, name="reference_worker.sync_customer")
def sync_customer(_self: Any, customer_id: str) -> None:
    """Bring the copy of a customer up to date, each version once.

    The message only says whose: what is sent is read now, so a message that comes late brings nothing old. The key is
    the version's, and an older version never replaces a newer one in our record of what has been sent.
    """
    customer = customers.find(DATABASE, customer_id)
    if customer is None:
        raise UnknownCustomerError(customer_id)
    if customer.synced_version >= customer.version:
        return
    crm.put(customer, url=SETTINGS.crm_url, timeout_seconds=SETTINGS.client_timeout_seconds)
    customers.mark_synced(DATABASE, customer_id, version=customer.version)
