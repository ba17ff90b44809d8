"""How Celery's jobs are explored."""

from harness.boundaries.rules import Process
from harness.systems.exploring import Exploring

POOL_SECONDS = 0.05  # instead of Celery's 5 s
SWEEP_SECONDS = 100.0  # kombu looks for messages whose visibility timeout has passed this often
VISIBILITY_SECONDS = 3600.0  # kombu's default

EXPLORING = Exploring(
    runs_jobs=Process.CHILD,
    joins_by_itself=True,
    environment={"JOBPROOF_POOL_SECONDS": repr(POOL_SECONDS)},
    notes=(f"One worker with one slot; its pool looks for dead children every {POOL_SECONDS:g} s, not every 5 s.",),
    given_back="After a main process died its messages were given back at once, as the broker's sweep would.",
    left_to_it="Redelivery was left to Celery.",
    broker_story="This is the transport's: Redis forgets a message when it hands it out, and kombu books it with its "
    "next command. No job can do anything about it. A broker that books what it hands out (RabbitMQ, SQS, Redis "
    "streams) does, or a record of what is due that is looked through now and then.",
    advice={
        "nothing-lost": "Record that the work is done after its effect and not before; acknowledge late, and do not "
        "take a dead worker's word (task_acks_late, task_reject_on_worker_lost).",
    },
)
