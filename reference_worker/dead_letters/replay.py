"""Giving a dead letter's message back to its queue."""

import json
import time
from typing import Any

from reference_worker.dead_letters.letter import DeadLetter
from reference_worker.dead_letters.table import Table
from reference_worker.monitor import stamping


class NotReplayableError(Exception):
    """What was no message cannot become one; the text is for the operator."""


def replay(app: Any, table: Table, letter: DeadLetter) -> None:
    """Publish the message as it was delivered, with its budget of retries and no eta or expiry, then mark the letter.

    A crash in between publishes twice, which idempotent jobs absorb; the other order could lose the message.

    Into a queue of the application's own only: what a message says of where it came from was its sender's to write.

    :raises NotReplayableError: it was no message, its headers are not known, or its queue is none of ours
    """
    headers = json.loads(letter.headers)
    if not letter.is_message:
        raise NotReplayableError("it was not an envelope, only bytes; there is no message to publish again")
    if not letter.queue:
        raise NotReplayableError("the message did not say which queue it was for")
    if letter.queue not in app.amqp.queues:
        ours = ", ".join(sorted(app.amqp.queues))
        raise NotReplayableError(f"it says that it is for the queue {letter.queue!r}, and there are: {ours}")
    if "unwritable" in headers:
        raise NotReplayableError("its headers could not be kept")
    if headers.get("retries"):
        headers["retries"] = 0
    for passed in ("expires", "eta"):
        if headers.get(passed) is not None:
            headers[passed] = None
    headers[stamping.HEADER] = time.time()  # it waits anew
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        message = channel.prepare_message(
            letter.body,
            content_type=letter.content_type or None,
            content_encoding=letter.content_encoding or None,
            headers=headers,
            properties={"correlation_id": headers.get("id"), "delivery_mode": 2},
        )
        # The default exchange: straight into the queue, whatever the routes say by now.
        channel.basic_publish(message, exchange="", routing_key=letter.queue)
    table.mark_replayed(letter.message_id)
