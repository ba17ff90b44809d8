"""Audits of small applications, as a person would make them."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.audit.code import Code
from harness.audit.finding import Accepted, Audit
from harness.audit.judge import judge
from harness.audit.survey import survey
from tests.audit import planted

IMPORT_SECONDS_MAX = 60
APP = "shop.celery:app"

AuditOf = Callable[..., Audit]


@pytest.fixture
def audit_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AuditOf:
    """The audit of the correct application, with one piece of it replaced."""

    def call(correct: str = "", wrong: str = "", accepted: dict[str, Accepted] | None = None) -> Audit:
        planted.write(tmp_path, correct, wrong)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site-packages"))
        facts = survey(APP, python=sys.executable, cwd=tmp_path, seconds=IMPORT_SECONDS_MAX)
        return judge(APP, facts, Code(facts, tmp_path), accepted or {})

    return call


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an application that has some findings."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site-packages")]))
    return planted.write(tmp_path, "    worker_prefetch_multiplier=1,\n", "")
