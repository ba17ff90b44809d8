"""`pytest --jobproof`: each guarantee of each scenario is a test, with the options that people know."""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.certify.conftest import SUBJECTS
from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(300)
SCENARIO = "delivered-twice-at-once"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "classic"
    shutil.copytree(SUBJECTS / "classic", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def run_pytest(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_guarantee_is_picked_by_its_name_and_fails_with_its_witnesses(shop: Path) -> None:
    words = ("--jobproof", "jobproof_contract.py", "-k", f"{SCENARIO} and (effects or attempts)")
    ran = run_pytest(shop, *words, "--junit-xml", "junit.xml")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "1 failed, 1 passed" in ran.stdout
    assert "effects-once violated in delivered-twice-at-once" in ran.stdout
    assert "repeat with: jobproof run delivered-twice-at-once --contract jobproof_contract.py" in ran.stdout
    names = {case.attrib["name"] for case in ET.parse(shop / "junit.xml").iter("testcase")}  # noqa: S314 - our own
    assert names == {"effects-once", "attempts-bounded"}


def test_what_nobody_has_promised_is_skipped_and_not_passed(shop: Path) -> None:
    ran = run_pytest(shop, "--jobproof", "jobproof_contract.py", "-k", "fault-free and bounded-wait", "-rs")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 skipped" in ran.stdout
    assert "not covered" in ran.stdout


def test_without_the_option_nothing_is_collected_and_nothing_heavy_is_imported(shop: Path) -> None:
    (shop / "test_own.py").write_text(
        "import sys\ndef test_own():\n    assert 'msgspec' not in sys.modules and 'scenarios' not in sys.modules\n"
    )
    ran = run_pytest(shop)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout


def test_a_contract_that_is_not_there_is_a_usage_error(shop: Path) -> None:
    ran = run_pytest(shop, "--jobproof", "nowhere.py")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "there is no such file" in ran.stderr
