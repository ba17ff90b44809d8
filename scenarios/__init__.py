"""The scenarios, one story a file. To add one, write the file and add it to `CATALOGUE`."""

from harness.scenario import Scenario
from scenarios.delivered_twice import DELIVERED_TWICE
from scenarios.fault_free import FAULT_FREE
from scenarios.job_that_always_fails import JOB_THAT_ALWAYS_FAILS
from scenarios.job_with_wrong_arguments import JOB_WITH_WRONG_ARGUMENTS
from scenarios.killed_between_effect_and_record import KILLED_BETWEEN_EFFECT_AND_RECORD
from scenarios.reply_lost import REPLY_LOST
from scenarios.worker_killed import WORKER_KILLED_CHILD, WORKER_KILLED_GROUP, WORKER_KILLED_MAIN

CATALOGUE: tuple[Scenario, ...] = (
    WORKER_KILLED_CHILD,
    WORKER_KILLED_MAIN,
    WORKER_KILLED_GROUP,
    KILLED_BETWEEN_EFFECT_AND_RECORD,
    DELIVERED_TWICE,
    JOB_THAT_ALWAYS_FAILS,
    JOB_WITH_WRONG_ARGUMENTS,
    REPLY_LOST,
)

__all__ = ["CATALOGUE", "FAULT_FREE"]
