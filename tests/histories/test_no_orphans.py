from harness.checkers.no_orphans import NoOrphans
from harness.events import DrainTimedOut, EnqueueCalled, EnqueueReturned, LeftBehind, QueueDrained, RunEnded
from harness.verdict import Status
from tests.histories.scenes import history

HELD, UNKNOWN, VIOLATED = Status.HELD, Status.UNKNOWN, Status.VIOLATED
JOB = (
    EnqueueCalled(job="job-1", task="mail", identity="mail-a"),
    EnqueueReturned(job="job-1", outcome="ok", message="m1"),
)


def test_where_nothing_stayed_it_is_held() -> None:
    assert NoOrphans().check(history(*JOB, QueueDrained(), RunEnded()))[0] is HELD


def test_a_process_and_a_file_are_each_named() -> None:
    process = LeftBehind(kind="process", name="sh (pid 9)", node="only")
    file = LeftBehind(kind="file", name="export-1.csv.part")
    answer, because, witnesses = NoOrphans().check(history(*JOB, QueueDrained(), process, file, RunEnded()))
    assert answer is VIOLATED
    assert "the process sh (pid 9) of only" in because
    assert "the file export-1.csv.part" in because
    assert witnesses == (process, file)


def test_what_is_there_is_proven_even_if_the_queues_never_drained() -> None:
    timed_out = DrainTimedOut(after_seconds=35.0, left="1 queued")
    file = LeftBehind(kind="file", name="export-1.csv.part")
    assert NoOrphans().check(history(*JOB, timed_out, file, RunEnded()))[0] is VIOLATED
    assert NoOrphans().check(history(*JOB, timed_out, RunEnded()))[0] is UNKNOWN


def test_a_record_that_ends_before_anybody_looked_proves_nothing() -> None:
    assert NoOrphans().check(history(*JOB, QueueDrained()))[0] is UNKNOWN
