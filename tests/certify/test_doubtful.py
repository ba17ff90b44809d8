"""Whatever a subject does, it ends in a clear error or a verdict, within a bound, and nothing is left behind."""

import os
import uuid
from pathlib import Path

import psutil
import pytest

from harness.contract_file import compile_contract
from harness.learning.command import learnt
from harness.plan import RuntimeChoice
from harness.report.visible import ERROR_LENGTH_MAX
from harness.system import SubjectError
from tests.certify.conftest import SUBJECTS, certification, findings
from tests.conftest import JobproofCommand, Ran

pytestmark = pytest.mark.timeout(300)
CONTRACT = SUBJECTS / "doubtful" / "doubtful_contract.py"


class Doubtful:
    """Certifies the subject with one of its doubts, and looks whether anything of it is left."""

    def __init__(self, jobproof: JobproofCommand, folder: Path) -> None:
        self._jobproof = jobproof
        self._mark = f"doubtful-{uuid.uuid4()}"
        self._seen = folder / "seen"
        self.environment = {"MARK": self._mark, "SEEN": str(self._seen)}

    def certify(self, doubt: str) -> Ran:
        words = ("--profile", "quick", "--seed", "1", "--timeout", "10s")
        ran = self._jobproof("certify", str(CONTRACT), *words, out=True, DOUBT=doubt, **self.environment)
        self.refuse_what_is_left()
        return ran

    def refuse_what_is_left(self) -> None:
        """Neither a process that was started with the mark, nor a folder that the subject was given."""
        assert [process for process in psutil.process_iter() if bears(process, self._mark)] == []
        given = {Path(line) for line in self._seen.read_text().splitlines()}
        assert given
        assert [folder for folder in given if folder.exists() or session_of(folder).exists()] == []


def bears(process: psutil.Process, mark: str) -> bool:
    try:
        return mark in process.cmdline() or process.environ().get("MARK") == mark
    except psutil.Error:
        return False


def session_of(folder: Path) -> Path:
    """The session's own folder: the one below that of all sessions of this user."""
    return next(each for each in folder.parents if each.parent.name == f"jobproof-{os.getuid()}")


@pytest.fixture
def doubtful(jobproof: JobproofCommand, tmp_path: Path) -> Doubtful:
    return Doubtful(jobproof, tmp_path)


@pytest.mark.parametrize(
    ("doubt", "words"),
    [
        ("does-not-import", "doubtful:app does not import: RuntimeError: the database is not migrated (doubtful.py:"),
        ("needs-a-setting", "doubtful:app does not import: KeyError: 'STRIPE_API_KEY' (doubtful.py:"),
        ("has-no-task", "doubtful:app has no task of its own"),
        ("hangs-on-import", "doubtful:app was not imported within 10 s (it stood in doubtful.py:"),
        ("never-starts", "worker 'worker' ended with exit 3 before it was ready"),
        ("fails", "doubtful.take_note(number=1) fails although nothing is done to it: LookupError"),
        ("does-nothing", "nothing of what it did can be seen"),
        ("hangs", "doubtful.take_note(number=1) did not end within 30 s although nothing was done to it"),
    ],
)
def test_what_cannot_be_certified_is_told_in_one_line(doubtful: Doubtful, doubt: str, words: str) -> None:
    ran = doubtful.certify(doubt)
    assert ran.code == 2, ran.out + ran.err
    (line,) = ran.err.splitlines()
    assert words in line
    assert str(CONTRACT) in line
    assert "\x1b" not in line
    assert len(line) < ERROR_LENGTH_MAX + 100


def test_a_worker_that_hangs_on_its_start_is_given_up(doubtful: Doubtful, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.runtimes.workers.READY_SECONDS_MAX", 3.0)  # a minute, for whoever is not a test
    for name, value in {**doubtful.environment, "DOUBT": "hangs-on-start"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SubjectError, match="worker 'worker' was not ready within 3 s"):
        learnt(compile_contract(CONTRACT), CONTRACT, RuntimeChoice(), import_seconds=10)
    doubtful.refuse_what_is_left()


def test_nothing_is_left_in_a_folder_where_nothing_could_be_recorded(
    doubtful: Doubtful, jobproof: JobproofCommand, tmp_path: Path
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    ran = jobproof("certify", str(CONTRACT), cwd=folder, DOUBT="does-not-import", **doubtful.environment)
    assert ran.code == 2
    assert list(folder.iterdir()) == []
    doubtful.refuse_what_is_left()


def test_megabytes_of_output_and_its_control_characters_do_not_reach_the_reports(doubtful: Doubtful) -> None:
    ran = doubtful.certify("prints-megabytes")
    assert ran.code == 1, ran.err
    assert findings(ran, part="run") == {}
    assert "\x1b" not in ran.out
    assert "all is well" not in ran.out


def test_a_daemon_that_outlives_its_worker_is_found_and_ended(doubtful: Doubtful) -> None:
    ran = doubtful.certify("forks-a-daemon")
    assert ran.code == 1, ran.err
    assert ("no-orphans", "doubtful.take_note") in findings(ran, part="run")


def test_a_worker_that_ignores_sigterm_is_judged_and_ended(doubtful: Doubtful) -> None:
    ran = doubtful.certify("ignores-sigterm")
    assert ran.code == 1, ran.err
    assert certification(ran)["scenarios"]["fault-free"] == "held"
