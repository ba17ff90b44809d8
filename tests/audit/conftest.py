"""Audits of small applications, as a person would make them."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.audit.finding import Audit
from harness.audit.make import make_audit
from tests.audit import planted

IMPORT_SECONDS_MAX = 60
APP = "shop.celery:app"

AuditOf = Callable[..., Audit]


@pytest.fixture
def audit_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AuditOf:
    """The audit of the correct application, with pieces of it replaced."""

    def call(replaced: dict[str, str] | None = None) -> Audit:
        planted.write(tmp_path, replaced or {})
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site-packages"))
        return make_audit(APP, python=sys.executable, cwd=tmp_path, seconds=IMPORT_SECONDS_MAX)

    return call


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an application that has some findings."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site-packages"))
    return planted.write(tmp_path, {"    worker_prefetch_multiplier=1,\n": ""})
