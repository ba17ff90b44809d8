"""The scenarios, one story a file. To add one, write the file and add it to `CATALOGUE`."""

from harness.scenario import Scenario
from scenarios.delivered_twice import DELIVERED_TWICE
from scenarios.delivered_twice_at_once import DELIVERED_TWICE_AT_ONCE
from scenarios.downstream_drips import DOWNSTREAM_DRIPS
from scenarios.downstream_fails_then_works import DOWNSTREAM_FAILS_THEN_WORKS
from scenarios.downstream_silent import DOWNSTREAM_SILENT
from scenarios.fault_free import FAULT_FREE
from scenarios.job_that_always_fails import JOB_THAT_ALWAYS_FAILS
from scenarios.job_with_wrong_arguments import JOB_WITH_WRONG_ARGUMENTS
from scenarios.killed_between_effect_and_record import KILLED_BETWEEN_EFFECT_AND_RECORD
from scenarios.reply_lost import REPLY_LOST
from scenarios.submitted_twice_at_once import SUBMITTED_TWICE_AT_ONCE
from scenarios.worker_killed import WORKER_KILLED_CHILD, WORKER_KILLED_GROUP, WORKER_KILLED_MAIN

CATALOGUE: tuple[Scenario, ...] = (
    WORKER_KILLED_CHILD,
    WORKER_KILLED_MAIN,
    WORKER_KILLED_GROUP,
    KILLED_BETWEEN_EFFECT_AND_RECORD,
    DELIVERED_TWICE,
    DELIVERED_TWICE_AT_ONCE,
    SUBMITTED_TWICE_AT_ONCE,
    JOB_THAT_ALWAYS_FAILS,
    JOB_WITH_WRONG_ARGUMENTS,
    REPLY_LOST,
    DOWNSTREAM_FAILS_THEN_WORKS,
    DOWNSTREAM_SILENT,
    DOWNSTREAM_DRIPS,
)

__all__ = ["CATALOGUE", "FAULT_FREE"]
