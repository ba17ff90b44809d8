"""What the probe in a worker says is said whole, whatever happens to the worker while it speaks."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

SPEAKER = """
import runpy, signal, sys
class SoftLimit(Exception): pass
def on_soft_limit(*_): raise SoftLimit
if sys.argv[2] == "handled":
    signal.signal(signal.SIGUSR1, on_soft_limit)
probe = runpy.run_path(sys.argv[1])
try:
    probe["on_postrun"](task_id="m1", state="SUCCESS")
except SoftLimit:
    print("told afterwards")
assert signal.getsignal(signal.SIGUSR1) is (on_soft_limit if sys.argv[2] == "handled" else signal.SIG_DFL)
"""


def heard_by_a_gate_that_answers_with_a_soft_limit(path: Path, questions: list[Any], *, limit: bool) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(30)
        link, _ = server.accept()
        with link, link.makefile("rb") as lines:
            question = json.loads(lines.readline())
            if limit:
                os.kill(question["pid"], signal.SIGUSR1)
            questions.append(question)
            link.sendall(b"{}\n")
            questions.append(lines.read())  # until it hangs up


@pytest.mark.parametrize("kind", ["handled", "unhandled"])
def test_a_soft_limit_while_the_end_of_a_body_is_told_comes_after_it(kind: str, tmp_path: Path) -> None:
    questions: list[Any] = []
    gate = threading.Thread(
        target=heard_by_a_gate_that_answers_with_a_soft_limit,
        args=(tmp_path / "gate", questions),
        kwargs={"limit": kind == "handled"},
    )
    gate.start()
    while not (tmp_path / "gate").exists() and gate.is_alive():
        time.sleep(0.01)
    done = subprocess.run(
        [sys.executable, "-c", SPEAKER, str(ROOT / "harness" / "systems" / "celery" / "probe.py"), kind],
        env={
            **os.environ,
            "JOBPROOF_EVENTS": str(tmp_path / "events"),
            "JOBPROOF_GATE": str(tmp_path / "gate"),
            "JOBPROOF_NODE": "w",
            "JOBPROOF_ORIGIN": "0",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    gate.join(30)
    assert done.stdout == ("told afterwards\n" if kind == "handled" else "")
    assert [question["point"] for question in questions[:1]] == ["body-ended"]
    assert json.loads((tmp_path / "events").read_text())["event"] == "AttemptEnded"
