"""Whatever a subject does, it ends in a clear error or a verdict, within a bound, and nothing is left behind."""

import psutil
import pytest

from tests.certify.conftest import SUBJECTS, certification, findings
from tests.conftest import JobproofCommand, Ran

pytestmark = pytest.mark.timeout(300)
CONTRACT = SUBJECTS / "doubtful" / "doubtful_contract.py"


def certify(jobproof: JobproofCommand, doubt: str) -> Ran:
    words = ("--profile", "quick", "--seed", "1", "--timeout", "10s")
    ran = jobproof("certify", str(CONTRACT), *words, out=True, DOUBT=doubt)
    left = [process for process in psutil.process_iter() if says(process, "DOUBT") == doubt]
    assert left == []
    return ran


def says(process: psutil.Process, name: str) -> str | None:
    try:
        return process.environ().get(name)
    except psutil.Error:
        return None


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
def test_what_cannot_be_certified_is_told_in_one_line(jobproof: JobproofCommand, doubt: str, words: str) -> None:
    ran = certify(jobproof, doubt)
    assert ran.code == 2, ran.out + ran.err
    (line,) = ran.err.splitlines()
    assert words in line
    assert str(CONTRACT) in line
    assert "\x1b" not in line


def test_megabytes_of_output_and_its_control_characters_do_not_reach_the_reports(jobproof: JobproofCommand) -> None:
    ran = certify(jobproof, "prints-megabytes")
    assert ran.code == 1, ran.err
    assert findings(ran, part="run") == {}
    assert "\x1b" not in ran.out
    assert "all is well" not in ran.out


def test_a_daemon_that_outlives_its_worker_is_found_and_ended(jobproof: JobproofCommand) -> None:
    ran = certify(jobproof, "forks-a-daemon")
    assert ran.code == 1, ran.err
    assert ("no-orphans", "doubtful.take_note") in findings(ran, part="run")


def test_a_worker_that_ignores_sigterm_is_judged_and_ended(jobproof: JobproofCommand) -> None:
    ran = certify(jobproof, "ignores-sigterm")
    assert ran.code == 1, ran.err
    assert certification(ran)["scenarios"]["fault-free"] == "held"
