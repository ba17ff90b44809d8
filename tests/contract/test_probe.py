"""What the probe in a worker says is said whole, whatever happens to the worker while it speaks."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.runtimes.docker.files import no_more_files
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

WITHOUT_FILES = """
import errno, os, runpy, sys
def opens(path):
    try:
        os.close(os.open(path, os.O_RDONLY))
        return "opened"
    except OSError as error:
        return errno.errorcode[error.errno]
probe = runpy.run_path(sys.argv[1])
probe["keep_spare"]()
own = -1
if sys.argv[2] == "closed":  # as a daemon does, and then the number is somebody else's
    os.close(probe["SPARE"][0])
    own = os.open(os.devnull, os.O_RDONLY)
    assert own == probe["SPARE"][0]
probe["on_prerun"](task_id="m1")
print(opens(os.devnull))
probe["on_postrun"](task_id="m1", state="SUCCESS")
print(opens(os.devnull), own < 0 or os.readlink(f"/proc/self/fd/{own}"))
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


def told(program: str, kind: str, directory: Path) -> str:
    """What a program prints that has the probe in it, and says something."""
    return subprocess.run(
        [sys.executable, "-c", program, str(ROOT / "harness" / "systems" / "celery" / "probe.py"), kind],
        env={
            **os.environ,
            "JOBPROOF_EVENTS": str(directory / "events"),
            "JOBPROOF_GATE": str(directory / "gate"),
            "JOBPROOF_NODE": "w",
            "JOBPROOF_ORIGIN": "0",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


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
    done = told(SPEAKER, kind, tmp_path)
    gate.join(30)
    assert done == ("told afterwards\n" if kind == "handled" else "")
    assert [question["point"] for question in questions[:1]] == ["body-ended"]
    assert json.loads((tmp_path / "events").read_text())["event"] == "AttemptEnded"


@contextmanager
def a_gate_that_takes_the_files_of_whoever_stands_there(path: Path) -> Iterator[None]:
    """From the first who comes, until the end."""
    done = threading.Event()

    def stand() -> None:
        first, _ = server.accept()
        pid = json.loads(first.makefile("rb").readline())["pid"]
        with no_more_files(lambda: [psutil.Process(pid)]):
            first.close()
            server.accept()[0].close()
            done.wait(30)

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(30)
        standing = threading.Thread(target=stand)
        standing.start()
        try:
            yield
        finally:
            done.set()
            standing.join(30)


def test_where_no_file_can_be_opened_any_more_the_probe_tells_all_and_leaves_none_to_the_worker(
    tmp_path: Path,
) -> None:
    with a_gate_that_takes_the_files_of_whoever_stands_there(tmp_path / "gate"):
        assert told(WITHOUT_FILES, "kept", tmp_path) == "EMFILE\nEMFILE True\n"
    events = [json.loads(line)["event"] for line in (tmp_path / "events").read_text().splitlines()]
    assert events == ["AttemptStarted", "AttemptEnded"]


def test_a_spare_descriptor_that_the_worker_has_closed_is_not_taken_from_whoever_has_its_number(
    tmp_path: Path,
) -> None:
    assert told(WITHOUT_FILES, "closed", tmp_path) == "opened\nopened /dev/null\n"
