"""What differs in files from run to run is learnt from two fault-free runs, and the rest is compared."""

import hashlib
import json
from collections import Counter

import pytest

from harness.contract import ContractError, FileRule, Folder
from harness.learning.folders import learn_folders
from harness.services.files import FileFound, left

PATH = "{directory}/out"


def found(name: str, content: str = "x") -> FileFound:
    data = content.encode()
    return FileFound(name=name, size=len(data), digest=hashlib.sha256(data).hexdigest(), kept=data)


def learnt(*runs: tuple[FileFound, ...], wrote: dict[str, str] | None = None) -> tuple[tuple[Folder, ...], str]:
    one, two = runs
    writers = {PATH: wrote or {}}
    folders, doubts = learn_folders({PATH: one}, {PATH: two}, (writers, writers))
    return folders, "; ".join(doubts)


def same(folder: Folder, one: FileFound, two: FileFound) -> bool:
    a, b = left(folder, one), left(folder, two)
    return (a.kind, a.content) == (b.kind, b.content)


def test_files_that_end_alike_are_compared_by_name_and_content() -> None:
    (folder,), doubts = learnt((found("a"), found("b")), (found("a"), found("b")))
    assert (folder.files, doubts) == ((), "")


def test_of_a_json_file_only_the_fields_that_differ_are_let_go() -> None:
    one, two, torn = (found("1.json", text) for text in ('{"at": 1, "n": 5}', '{"n": 5, "at": 2}', '{"at": 1, "n'))
    (folder,), doubts = learnt((one,), (two,))
    assert folder.files == (FileRule(name="1.json", volatile=("/at",)),)
    assert "1.json is compared without /at" in doubts
    assert same(folder, one, two)
    assert not same(folder, one, found("1.json", json.dumps({"at": 3, "n": 6})))
    assert not same(folder, one, torn)


def test_of_a_text_only_the_lines_that_differ_are_let_go() -> None:
    one, two = (found("1.txt", f"made at {at}\none\ntwo\n") for at in (1, 2))
    (folder,), _ = learnt((one,), (two,))
    assert folder.files == (FileRule(name="1.txt", volatile=("#1",)),)
    assert same(folder, one, two)
    assert not same(folder, one, found("1.txt", "made at 3\none\n"))


def test_of_what_differs_throughout_it_is_still_seen_that_it_is_empty() -> None:
    one, two = found("1.bin", "abcd"), found("1.bin", "efghi")
    (folder,), doubts = learnt((one,), (two,))
    assert same(folder, one, two)
    assert not same(folder, one, found("1.bin", ""))
    assert "only is compared that it is there and not empty" in doubts


@pytest.mark.parametrize(
    ("one", "two", "pattern"),
    [
        ("receipt-3fa9.pdf", "receipt-3b07.pdf", "receipt-*.pdf"),
        ("day/ab12/1.csv", "day/ab34/1.csv", "day/*/1.csv"),
        ("a1b2", "c3d4", "*"),
    ],
)
def test_a_name_that_is_another_one_each_time_is_known_by_its_kind(one: str, two: str, pattern: str) -> None:
    (folder,), doubts = learnt((found(one, "A"), found("index")), (found(two, "A"), found("index")))
    assert [rule.name for rule in folder.files] == [pattern]
    assert f"{pattern} has another name in each run" in doubts
    assert left(folder, found(one)).kind == pattern


def test_files_under_any_name_are_told_apart_by_their_content() -> None:
    one = (found("r-a.json", '{"n": 1, "id": "a"}'), found("r-b.json", '{"n": 2, "id": "b"}'))
    two = (found("r-c.json", '{"n": 2, "id": "c"}'), found("r-d.json", '{"n": 1, "id": "d"}'))
    (folder,), _ = learnt(one, two)
    assert folder.files == (FileRule(name="r-*.json", volatile=("/id",)),)
    kinds = [Counter(left(folder, each).content for each in run) for run in (one, two)]
    assert kinds[0] == kinds[1]
    assert len(kinds[0]) == 2


def test_a_folder_that_does_not_end_alike_is_a_doubt_and_not_compared() -> None:
    folders, doubts = learnt((found("a"), found("b")), (found("a"),))
    assert folders == ()
    assert "did not end alike" in doubts


def test_a_folder_in_which_nothing_was_left_is_a_doubt() -> None:
    (folder,), doubts = learnt((), ())
    assert folder.path == PATH
    assert "was empty" in doubts


def test_whose_job_leaves_a_file_is_known_from_the_runs_of_each_job_alone() -> None:
    files = (found("1.csv"), found("log"), found("1.pdf"))
    (folder,), _ = learnt(files, files, wrote=dict.fromkeys(("1.csv", "1.pdf"), "shop.export"))
    assert (folder.task, left(folder, found("2.csv")).task) == ("shop.export", "shop.export")

    (folder,), _ = learnt(files, files, wrote={"1.csv": "shop.export", "1.pdf": "shop.print"})
    assert [left(folder, each).task for each in files] == ["shop.export", "", "shop.print"]


def test_a_folder_outside_of_the_directory_of_the_run_is_refused() -> None:
    with pytest.raises(ContractError, match="expected a path below"):
        Folder(path="/var/exports")
