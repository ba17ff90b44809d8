"""A subject of somebody else's: other queue, other library for HTTP, no database, settings from one variable."""

import json
import os
import urllib.request

from celery import Celery

app = Celery("pings", broker=os.environ.get("PINGS_BROKER"))
app.conf.task_acks_late = True
app.conf.task_reject_on_worker_lost = True


@app.task(name="pings.ping", autoretry_for=(OSError,), retry_backoff=False, default_retry_delay=0.1, max_retries=4)
def ping(host: str) -> str:
    request = urllib.request.Request(  # noqa: S310 - the ledger's loopback URL
        f"{os.environ['PINGS_URL']}/ping/{host}",
        data=json.dumps({"host": host}).encode(),
        headers={"X-Ping": f"ping-{host}", "Content-Type": "application/json"},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
        return str(answer.status)
