"""Celery 5.3 to 5.7, the newest of each line with the kombu of its time: the same is found, and the same passes."""

import re
import shutil
from pathlib import Path

import pytest

from tests.certify.conftest import SUBJECTS, certification, environment, findings, line_of
from tests.conftest import JobproofCommand

pytestmark = pytest.mark.timeout(300)
PINS = sorted((SUBJECTS / "celery_lines").glob("*.txt"))
LINES = [path.stem for path in PINS]
QUICK = ("--profile", "quick", "--seed", "7")
COUNTS_LOST_WORKERS = "5.7"  # the first with task_retry_on_worker_lost


def pinned(pins: Path) -> dict[str, str]:
    """The versions that a report must name."""
    versions = dict(re.findall(r"^(\w+)(?:\[\w+\])?==(\S+)$", pins.read_text(), re.MULTILINE))
    return {
        "celery": versions["celery"],
        "kombu": versions["kombu"],
        "billiard": versions["billiard"],
        "redis client": versions["redis"],
    }


def test_every_supported_line_has_its_pins() -> None:
    assert LINES == ["5.3", "5.4", "5.5", "5.6", "5.7"]
    assert all(pinned(pins)[name].startswith(f"{pins.stem}.") for pins in PINS for name in ("celery", "kombu"))


@pytest.mark.parametrize("pins", PINS, ids=LINES)
def test_the_mail_that_is_sent_twice_is_found_at_its_line(jobproof: JobproofCommand, pins: Path) -> None:
    contract = SUBJECTS / "classic" / "jobproof_contract.py"
    ran = jobproof("certify", str(contract), *QUICK, "--python", environment(pins), out=True)

    assert ran.code == 1, ran.out + ran.err
    (found,) = findings(ran, part="run").values()
    assert (found["name"], found["task"]) == ("effects-once", "shop.tasks.send_receipt")
    assert found["where"] == f"shop/tasks.py:{line_of(SUBJECTS / 'classic' / 'shop' / 'tasks.py', 'send_message')}"
    kinds = {window["kind"] for window in found["windows"]}
    assert kinds == {"crash point", "scenario"}
    assert pinned(pins).items() <= certification(ran)["versions"].items()


@pytest.mark.parametrize("pins", PINS, ids=LINES)
def test_a_charge_with_the_providers_key_holds(jobproof: JobproofCommand, pins: Path, tmp_path: Path) -> None:
    folder = keyed(tmp_path)
    words, accepted = ("--python", environment(pins)), []
    if pins.stem < COUNTS_LOST_WORKERS:  # a job that takes its worker down comes back for ever: known, and accepted
        spell(folder, "task_retry_on_worker_lost", "task_reject_on_worker_lost")
        reason = ("--write-baseline", "baseline.json", "--reason", "an input that kills its worker is for the operator")
        assert jobproof("audit", "billing.celery:app", *words, *reason, cwd=folder).code == 0
        words, accepted = (*words, "--baseline", "baseline.json"), ["worker-loss-unbounded"]
    ran = jobproof("certify", "jobproof_contract.py", *QUICK, *words, cwd=folder, out=True)

    assert ran.code == 0, ran.out + ran.err
    found = certification(ran)
    assert found["outcome"] == "held"
    assert [each.partition(":")[0] for each in found["accepted"]] == accepted
    assert pinned(pins).items() <= found["versions"].items()


def test_a_setting_that_this_celery_does_not_know_yet_loses_jobs_and_is_found(
    jobproof: JobproofCommand, tmp_path: Path
) -> None:
    (pins,) = (each for each in PINS if each.stem == "5.6")
    folder = keyed(tmp_path)
    ran = jobproof("certify", "jobproof_contract.py", *QUICK, "--python", environment(pins), cwd=folder, out=True)

    assert ran.code == 1, ran.out + ran.err
    assert ("nothing-lost", "billing.tasks.charge") in findings(ran, part="run")
    assert set(findings(ran, part="audit")) == {("child-death-acknowledged", "billing.tasks.charge")}


def keyed(folder: Path) -> Path:
    """The correct subject as its team has it."""
    shutil.copytree(SUBJECTS / "keyed", folder / "keyed", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "keyed"


def spell(folder: Path, written: str, meant: str) -> None:
    """Name another setting in the application."""
    source = folder / "billing" / "celery.py"
    text = source.read_text()
    assert written in text
    source.write_text(text.replace(written, meant))
