import os

import requests

from billing.celery import app
from billing.letters import Kept


@app.task(
    base=Kept,
    autoretry_for=(requests.RequestException,),
    max_retries=5,
    default_retry_delay=1,
    retry_backoff=1,
    retry_backoff_max=60,
    retry_jitter=True,
)
def charge(invoice_id: str, cents: int) -> None:
    """The key is the work's own: whoever asks again for this invoice's charge is told what became of the first."""
    answer = requests.post(
        f"{os.environ['PAYMENTS_URL']}/v1/charges",
        json={"invoice": invoice_id, "amount": cents, "currency": "eur"},
        headers={"Idempotency-Key": f"charge-{invoice_id}"},
        timeout=(3, 10),
    )
    answer.raise_for_status()
