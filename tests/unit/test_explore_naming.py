"""What people call a boundary: the job system's words where it has one, and whose it is."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from harness.boundaries.rules import Process
from harness.events import JobId
from harness.explore.naming import Naming
from harness.explore.points import Boundary
from harness.system import PlannedJob
from harness.systems.celery.exploring import EXPLORING as CELERY
from harness.systems.celery.names import meaning_of as in_celery
from harness.systems.celery.tap import Keys
from harness.systems.exploring import Exploring, Meaning
from harness.systems.redis_list.exploring import EXPLORING as LISTS
from harness.systems.redis_list.exploring import meaning_of as in_lists

CHILD, MAIN = Process.CHILD, Process.MAIN
JOB = PlannedJob(job=JobId("job-1"), task="t", arguments={"customer": "cust-1", "n": 7, "to": "x"}, identity="cust-1")


@dataclass
class System:
    exploring: Exploring
    meaning_of: Callable[[str], Meaning]


ON_CELERY = System(CELERY, lambda sent: in_celery(sent, Keys()))
ON_LISTS = System(LISTS, lambda sent: in_lists(sent, queues=["jobs"], own=["own:1", "own:host:4711"]))


def seen(system: System, name: str, process: Process, dependency: str = "broker") -> Boundary | None:
    naming = Naming(system, JOB)  # type: ignore[arg-type]
    return naming.boundary(name, dependency=dependency, process=process, occurrence=1)


@pytest.mark.parametrize(
    ("system", "name", "process", "told"),
    [
        (ON_CELERY, "HSET unacked + ZADD unacked_index", MAIN, "reserve #1"),
        (ON_CELERY, "ZREM unacked_index + HDEL unacked", MAIN, "ack #1"),
        (ON_CELERY, "HDEL unacked + RPUSH celery", MAIN, "requeue #1"),
        (ON_CELERY, "SET celery-task-meta-*", CHILD, "result #1"),
        (ON_CELERY, "SET lock:cust-1", CHILD, "SET lock:{customer} #1"),
        (ON_CELERY, "SET lock:cust-1", MAIN, "main: SET lock:{customer} #1"),
        (ON_LISTS, "LREM own:1", MAIN, "ack (LREM own:1) #1"),
        (ON_LISTS, "LREM own:1", CHILD, "ack (LREM own:1) #1"),
        (ON_LISTS, "HSET done + DEL own:1", MAIN, "ack (HSET done + DEL own:1) #1"),
        (ON_LISTS, "LREM own:host:{pid}", MAIN, "ack (LREM own:host:{pid}) #1"),
        (ON_LISTS, "LREM own:{pid}:1", MAIN, "LREM own:{pid}:1 #1"),
        (ON_LISTS, "LREM basket", MAIN, "LREM basket #1"),
        (ON_LISTS, "LMOVE own:1", MAIN, "LMOVE own:1 #1"),
        (ON_LISTS, "INCR jobs", MAIN, "INCR jobs #1"),
        (ON_LISTS, "INCR done", CHILD, "child: INCR done #1"),
    ],
)
def test_a_command_to_the_broker_has_its_systems_word_or_its_own_name(
    system: System, name: str, process: Process, told: str
) -> None:
    found = seen(system, name, process)
    assert found is not None
    assert (found.told, found.name, found.books) == (told, name, told == "reserve #1")


@pytest.mark.parametrize("name", ["RPOP jobs", "LMOVE jobs", "RPOPLPUSH jobs", "LMPOP jobs", "LPOP jobs + RPOP jobs"])
def test_to_ask_for_a_message_is_no_boundary(name: str) -> None:
    assert seen(ON_LISTS, name, MAIN) is None
    assert seen(ON_LISTS, name, MAIN, dependency="cache") is not None
    assert seen(ON_LISTS, f"SET x + {name}", MAIN) is not None


def test_only_what_goes_to_the_broker_has_a_word_of_the_systems() -> None:
    found = seen(ON_CELERY, "HDEL unacked", CHILD, dependency="cache")
    assert found is not None
    assert found.label == "HDEL unacked"
