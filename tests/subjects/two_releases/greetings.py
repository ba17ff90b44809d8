"""The release that a deploy brings: greetings have a tone."""

import json
import os
import urllib.request

from celery import Celery

app = Celery("greetings", broker=os.environ.get("GREETINGS_BROKER"))
app.conf.task_acks_late = True


@app.task(name="greetings.greet")
def greet(whom: str, tone: str = "plain") -> None:
    request = urllib.request.Request(  # noqa: S310 - the ledger's loopback URL
        f"{os.environ['GREETINGS_URL']}/greetings",
        data=json.dumps({"whom": whom, "tone": tone, "by": "now"}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    patience_seconds = float(os.environ.get("GREETINGS_PATIENCE_SECONDS", "5"))
    urllib.request.urlopen(request, timeout=patience_seconds).close()  # noqa: S310 - as above
