"""A job that kills its worker each time ends as a dead letter, after as many deaths as are allowed and one more."""

import psutil

from tests.reference_worker.conftest import World
from tests.reference_worker.test_jobs import rows


def test_a_job_that_kills_its_worker_each_time_ends_as_a_dead_letter(world: World) -> None:
    worker = world.start_worker("billing", "billing", client_timeout_seconds="20")
    world.submit("charge_invoice", queue="billing", invoice_id="inv-1")
    starts = 0
    while starts < 5:
        world.downstream.holding.clear()
        world.downstream.hold = "POST /v1/charges"
        world.wait(
            lambda: world.downstream.holding.is_set() or rows(world.database, "SELECT 1 FROM dead_letters"),
            "the job neither began again nor was it given up",
        )
        if not world.downstream.holding.is_set():
            break
        starts += 1
        for child in psutil.Process(worker.pid).children():
            child.kill()

    assert starts == 1 + 2
    assert rows(world.database, "SELECT attempts FROM dead_letters") == [(starts,)]
    # The books are closed once the letter is safe.
    world.wait(lambda: not rows(world.database, "SELECT identity FROM deliveries"), "its deliveries were not forgotten")
