"""A deploy costs no job anything: what a worker runs when it is told to stop is not counted as lost."""

import threading
import uuid
from typing import Any

from celery import signals

from reference_worker.deliveries import Deliveries


def connect(deliveries: Deliveries) -> None:
    def name_this_life(sender: Any = None, **_: Any) -> None:
        # In the main process, before its children are forked: they have the same name.
        deliveries.node = f"{str(getattr(sender, 'hostname', sender))[:200]}/{uuid.uuid4().hex[:12]}"

    def give_back(**_: Any) -> None:
        # This runs in a signal handler, which may have interrupted a transaction of the same thread: waiting for its
        # lock here would wait for ever.
        threading.Thread(target=deliveries.give_back, name="give-back").start()

    signals.worker_init.connect(name_this_life, weak=False)
    signals.worker_shutting_down.connect(give_back, weak=False)
