"""The scenarios, one story a file. To add one, write the file and add it to `CATALOGUE`."""

from harness.scenario import Scenario
from scenarios.backlog_of_a_dead_worker import BACKLOG_OF_A_DEAD_WORKER
from scenarios.broker_restarted import BROKER_RESTARTED, BROKER_RESTARTED_EMPTY
from scenarios.broker_slow import BROKER_SLOW
from scenarios.dead_letter_store_down import DEAD_LETTER_STORE_AND_SPOOL_DOWN, DEAD_LETTER_STORE_DOWN
from scenarios.delivered_twice import DELIVERED_TWICE
from scenarios.delivered_twice_at_once import DELIVERED_TWICE_AT_ONCE, DELIVERED_TWICE_OVERTAKEN
from scenarios.deploy import DEPLOY_TO_THE_GROUP, DEPLOY_WITH_SHORT_GRACE, DEPLOY_WITH_TIME
from scenarios.disk_full import DISK_FULL
from scenarios.disk_read_only import DISK_READ_ONLY
from scenarios.downstream_drips import DOWNSTREAM_DRIPS
from scenarios.downstream_fails_then_works import DOWNSTREAM_FAILS_THEN_WORKS
from scenarios.downstream_refuses import DOWNSTREAM_REFUSES
from scenarios.downstream_refuses_for_good import DOWNSTREAM_REFUSES_FOR_GOOD
from scenarios.downstream_resets import DOWNSTREAM_RESETS
from scenarios.downstream_silent import DOWNSTREAM_SILENT
from scenarios.downstream_slow import DOWNSTREAM_SLOW
from scenarios.fault_free import FAULT_FREE
from scenarios.files_exhausted import FILES_EXHAUSTED
from scenarios.flooded_by_slow_jobs import FLOODED_BY_SLOW_JOBS
from scenarios.frozen_past_the_visibility_timeout import FROZEN_PAST_THE_VISIBILITY_TIMEOUT
from scenarios.hard_limit_inside_an_effect import HARD_LIMIT_INSIDE_AN_EFFECT
from scenarios.host_crashed import HOST_CRASHED
from scenarios.job_that_always_fails import JOB_THAT_ALWAYS_FAILS
from scenarios.job_that_can_never_be_done import JOB_THAT_CAN_NEVER_BE_DONE
from scenarios.job_that_kills_its_worker import JOB_THAT_KILLS_ITS_CHILD, JOB_THAT_KILLS_ITS_WORKER
from scenarios.job_with_wrong_arguments import JOB_WITH_WRONG_ARGUMENTS
from scenarios.killed_and_submitted_again import KILLED_AND_SUBMITTED_AGAIN
from scenarios.killed_before_a_later_effect import KILLED_BEFORE_A_LATER_EFFECT
from scenarios.killed_between_effect_and_record import KILLED_BETWEEN_EFFECT_AND_RECORD
from scenarios.memory_exhausted import MEMORY_EXHAUSTED
from scenarios.names_hidden import NAMES_HIDDEN
from scenarios.poisoned_messages import POISONED_MESSAGES
from scenarios.processes_exhausted import PROCESSES_EXHAUSTED
from scenarios.queue_that_nobody_drains import QUEUE_THAT_NOBODY_DRAINS
from scenarios.recoverer import RECOVERER_DOUBLED, RECOVERER_KILLED
from scenarios.reply_lost import REPLY_LOST
from scenarios.submitted_twice_at_once import SUBMITTED_TWICE_AT_ONCE
from scenarios.two_releases import NEW_MESSAGES_TO_OLD_CODE, OLD_MESSAGES_TO_NEW_CODE
from scenarios.worker_clock import WORKER_CLOCK_AHEAD, WORKER_CLOCK_JUMPS_AHEAD, WORKER_CLOCK_JUMPS_BACK
from scenarios.worker_cut_off import WORKER_CUT_OFF, WORKER_DEAF, WORKER_MUTE
from scenarios.worker_in_a_crash_loop import WORKER_IN_A_CRASH_LOOP
from scenarios.worker_killed import WORKER_KILLED_CHILD, WORKER_KILLED_GROUP, WORKER_KILLED_MAIN
from scenarios.worker_starved import WORKER_STARVED

CATALOGUE: tuple[Scenario, ...] = (
    WORKER_KILLED_CHILD,
    WORKER_KILLED_MAIN,
    WORKER_KILLED_GROUP,
    KILLED_BETWEEN_EFFECT_AND_RECORD,
    KILLED_BEFORE_A_LATER_EFFECT,
    BACKLOG_OF_A_DEAD_WORKER,
    WORKER_IN_A_CRASH_LOOP,
    FROZEN_PAST_THE_VISIBILITY_TIMEOUT,
    DEPLOY_WITH_TIME,
    DEPLOY_WITH_SHORT_GRACE,
    DEPLOY_TO_THE_GROUP,
    OLD_MESSAGES_TO_NEW_CODE,
    NEW_MESSAGES_TO_OLD_CODE,
    DELIVERED_TWICE,
    DELIVERED_TWICE_AT_ONCE,
    DELIVERED_TWICE_OVERTAKEN,
    SUBMITTED_TWICE_AT_ONCE,
    KILLED_AND_SUBMITTED_AGAIN,
    RECOVERER_KILLED,
    RECOVERER_DOUBLED,
    JOB_THAT_ALWAYS_FAILS,
    JOB_WITH_WRONG_ARGUMENTS,
    JOB_THAT_CAN_NEVER_BE_DONE,
    JOB_THAT_KILLS_ITS_WORKER,
    JOB_THAT_KILLS_ITS_CHILD,
    POISONED_MESSAGES,
    DEAD_LETTER_STORE_DOWN,
    DEAD_LETTER_STORE_AND_SPOOL_DOWN,
    HARD_LIMIT_INSIDE_AN_EFFECT,
    REPLY_LOST,
    DOWNSTREAM_FAILS_THEN_WORKS,
    DOWNSTREAM_RESETS,
    DOWNSTREAM_REFUSES,
    DOWNSTREAM_REFUSES_FOR_GOOD,
    DOWNSTREAM_SILENT,
    DOWNSTREAM_SLOW,
    DOWNSTREAM_DRIPS,
    FLOODED_BY_SLOW_JOBS,
    QUEUE_THAT_NOBODY_DRAINS,
    WORKER_CLOCK_AHEAD,
    WORKER_CLOCK_JUMPS_AHEAD,
    WORKER_CLOCK_JUMPS_BACK,
    BROKER_SLOW,
    *BROKER_RESTARTED,
    BROKER_RESTARTED_EMPTY,
    HOST_CRASHED,
    WORKER_CUT_OFF,
    WORKER_DEAF,
    WORKER_MUTE,
    WORKER_STARVED,
    NAMES_HIDDEN,
    MEMORY_EXHAUSTED,
    DISK_FULL,
    DISK_READ_ONLY,
    PROCESSES_EXHAUSTED,
    FILES_EXHAUSTED,
)

__all__ = ["CATALOGUE", "FAULT_FREE"]
