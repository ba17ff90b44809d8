"""At which line of the subject's code a body is: its task's own, else the innermost that is no library's."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.boundaries import lines

SHOP = """
from shoplib.send import send
from functools import wraps

def told(function):
    @wraps(function)
    def wrapper(*args):
        return function(*args)
    return wrapper

def body(look):
    return deliver(look, amount())

def amount():
    return 3

def deliver(look, _amount):
    send(look)

@told
def job(look):
    before = amount()
    deliver(look, before)
    send(look)
    send(look) if amount() else None

def ahead(look):
    send(look)
    job(look)

def elsewhere(look, run):
    run(lambda: send(look))
"""
SEND = """
def send(look):
    look()
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    library = tmp_path / ".venv" / "lib" / "site-packages" / "shoplib"
    library.mkdir(parents=True)
    (library / "__init__.py").touch()
    (library / "send.py").write_text(SEND)
    (tmp_path / "shopjobs.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(library.parent))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield import_module("shopjobs")
    for name in ("shopjobs", "shoplib", "shoplib.send"):
        sys.modules.pop(name, None)


@pytest.fixture
def seen(tmp_path: Path) -> tuple[list[str], Callable[[], None]]:
    """What a supervisor would read, each time that the library is about to send."""
    told: list[str] = []
    return told, lambda: told.append(lines.read(str(tmp_path), os.getpid(), threading.get_native_id()))


def traced(directory: Path, run: Any, *arguments: Any, entry: Any = None) -> None:
    tracer = lines.Tracer(str(directory), SimpleNamespace(run=run, __module__=run.__module__))
    before = sys.gettrace()
    sys.settrace(None)  # whoever measures these tests is asked to look away
    tracer.begin()
    try:
        (entry or run)(*arguments)
    finally:
        tracer.end()
        sys.settrace(before)


def line_of(text: str, *, occurrence: int = 1) -> int:
    return [number for number, line in enumerate(SHOP.splitlines(), 1) if text in line][occurrence - 1]


def test_the_line_is_the_tasks_own_wherever_it_was_called_from_and_whatever_it_calls(
    shop: Any, seen: Any, tmp_path: Path
) -> None:
    told, look = seen
    traced(tmp_path, shop.job, look)
    assert told == [
        f"shopjobs.py:{line_of('deliver(look, before)')}",
        f"shopjobs.py:{line_of('send(look)', occurrence=2)}",
        f"shopjobs.py:{line_of('if amount()')}",
    ]


def test_outside_of_the_tasks_function_it_is_the_innermost_of_the_subjects_code(
    shop: Any, seen: Any, tmp_path: Path
) -> None:
    told, look = seen
    traced(tmp_path, shop.job, look, entry=shop.ahead)
    assert told[0] == f"shopjobs.py:{line_of('def ahead') + 1}"
    assert told[1] == f"shopjobs.py:{line_of('deliver(look, before)')}"


def test_when_the_body_is_over_no_line_is_known(shop: Any, seen: Any, tmp_path: Path) -> None:
    told, look = seen
    traced(tmp_path, shop.job, lambda: None)
    look()
    assert told == [""]


def test_another_threads_line_is_not_known(shop: Any, seen: Any, tmp_path: Path) -> None:
    told, look = seen

    def in_a_thread(send: Callable[[], None]) -> None:
        thread = threading.Thread(target=send)
        thread.start()
        thread.join()

    traced(tmp_path, shop.elsewhere, look, in_a_thread)
    assert told == [""]


def test_a_subject_that_traces_itself_is_left_alone(shop: Any, seen: Any, tmp_path: Path) -> None:
    told, look = seen
    own = lambda *_: None  # noqa: E731 - a trace function that traces nothing
    tracer = lines.Tracer(str(tmp_path), SimpleNamespace(run=shop.job, __module__="shopjobs"))
    before = sys.gettrace()
    sys.settrace(own)
    try:
        tracer.begin()
        shop.job(look)
        assert sys.gettrace() is own
        tracer.end()
        assert sys.gettrace() is own
    finally:
        sys.settrace(before)
    assert told == [""] * 3


def test_a_task_of_an_installed_package_is_told_with_its_packages_name(tmp_path: Path, seen: Any) -> None:
    told, look = seen
    folder = tmp_path / "x" / "site-packages"
    (folder / "shopped").mkdir(parents=True)
    (folder / "shopped" / "__init__.py").write_text("def job(look):\n    look()\n")
    sys.path.insert(0, str(folder))
    try:
        traced(tmp_path, import_module("shopped").job, look)
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("shopped", None)
    assert told == ["shopped/__init__.py:2"]
