"""A file is compared by its name, or by its kind and content where each run gives it another name."""

import pytest

from harness.checkers.same_outcome import SameOutcome
from harness.contract import Contract, Folder
from harness.events import (
    BaselineRecorded,
    EnqueueCalled,
    EnqueueReturned,
    Event,
    FileLeft,
    FilesRecorded,
    JobId,
    MessageId,
    QueueDrained,
    RunEnded,
)
from harness.history import History
from harness.left_files import compare_files
from harness.verdict import Status
from tests.histories.scenes import CONTRACT, history


def left(name: str, content: str = "all of it", *, kind: str = "", task: str = "") -> FileLeft:
    return FileLeft(name=name, kind=kind or name, size=len(content), content=content, beginning=content, task=task)


def told(found: tuple[FileLeft, ...], usual: tuple[FileLeft, ...]) -> tuple[str, ...]:
    return compare_files("{directory}/out", found, usual).differences


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ((), "out/1.csv is lost: the fault-free run left it"),
        ((left("1.csv", ""),), "out/1.csv is torn: it is empty, and 9 bytes in the fault-free run"),
        ((left("1.csv", "all of"),), "out/1.csv is torn: it ends after 6 of 9 bytes"),
        ((left("1.csv", "other"),), "out/1.csv has other content than in the fault-free run (5 bytes, 9 there)"),
        ((left("1.csv"), left("2.csv")), "out/2.csv was not left by the fault-free run"),
    ],
)
def test_what_became_of_a_file_is_named(found: tuple[FileLeft, ...], sentence: str) -> None:
    assert told(found, (left("1.csv"),)) == (sentence,)


def test_a_second_file_of_one_job_under_another_name_is_doubled_whatever_they_are_called() -> None:
    usual = (left("a1.txt", "for 1", kind="*.txt", task="shop.send"), left("b7.txt", "for 2", kind="*.txt"))
    found = (left("c3.txt", "for 2", kind="*.txt"), left("d9.txt", "for 1", kind="*.txt", task="shop.send"))
    assert told(found, usual) == ()
    assert told((*found, left("e5.txt", "for 2", kind="*.txt", task="shop.send")), usual) == (
        "out/e5.txt of shop.send is doubled: out/c3.txt is there as well",
    )


def test_a_file_of_which_nothing_is_compared_but_its_kind_is_one_more() -> None:
    usual = (left("a1", "x", kind="*"),)
    assert told((left("b2", "y", kind="*"), left("c3", "x", kind="*")), usual) == (
        "out/b2 is one * more than the fault-free run left",
    )


@pytest.mark.parametrize("name", ["tmpab12xyz_", "below/tmpab12xyz_", ".1.csv", "1.csv.part", "1.csv~"])
def test_what_a_kill_leaves_of_a_file_under_its_working_name_is_litter_and_no_effect(name: str) -> None:
    compared = compare_files("{directory}/out", (left("1.csv"), left(name, "half")), (left("1.csv"),))
    assert compared.differences == ()
    assert compared.litter == (f"out/{name}",)


def test_a_file_with_a_working_name_that_the_fault_free_run_left_is_due() -> None:
    assert told((), (left(".done"),)) == ("out/.done is lost: the fault-free run left it",)


WITH_FILES = Contract(
    name="handwritten",
    app="nobody:app",
    workers=CONTRACT.workers,
    tasks=CONTRACT.tasks,
    folders=(Folder(path="{directory}/out"),),
)


def run(*events: Event, usual: dict[str, tuple[FileLeft, ...]]) -> History:
    job, message = JobId("job-1"), MessageId("m1")
    return history(
        EnqueueCalled(job=job, task="mail", identity="mail-a"),
        EnqueueReturned(job=job, outcome="ok", message=message),
        QueueDrained(),
        *events,
        RunEnded(),
        BaselineRecorded(effects={}, state={}, drained=True, files=usual),
        contract=WITH_FILES,
    )


def test_files_are_a_part_of_the_outcome() -> None:
    usual = {"{directory}/out": (left("1.csv"),)}
    same = FilesRecorded(folder="{directory}/out", files=(left("1.csv"), left("tmp123", "ha")))
    status, because, _ = SameOutcome().check(run(same, usual=usual))
    assert status is Status.HELD
    assert because.endswith("and 1 file equal the twin's; left unfinished, and not compared: out/tmp123")

    torn = FilesRecorded(folder="{directory}/out", files=(left("1.csv", "all"),))
    status, because, witnesses = SameOutcome().check(run(torn, usual=usual))
    assert (status, because) == (Status.VIOLATED, "out/1.csv is torn: it ends after 3 of 9 bytes")
    assert [type(each) for each in witnesses] == [FilesRecorded]


def test_a_folder_that_was_not_read_is_unknown() -> None:
    status, because, _ = SameOutcome().check(run(usual={}))
    assert status is Status.UNKNOWN
    assert "folder {directory}/out" in because
