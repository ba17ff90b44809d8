"""The release that a deploy replaces: greetings have no tone."""

import json
import os
import urllib.request

from celery import Celery

app = Celery("greetings", broker=os.environ.get("GREETINGS_BROKER"))
app.conf.task_acks_late = True


@app.task(name="greetings.greet")
def greet(whom: str) -> None:
    request = urllib.request.Request(  # noqa: S310 - the ledger's loopback URL
        f"{os.environ['GREETINGS_URL']}/greetings",
        data=json.dumps({"whom": whom, "by": "before"}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 - as above
