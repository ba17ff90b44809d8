"""A subject that cannot be asked costs one clear line, a bounded time, and leaves nothing behind."""

import ast
import sys
from pathlib import Path

import psutil
import pytest

from harness.audit.facts import Facts
from harness.audit.survey import survey
from harness.runtimes.subject import found_python
from harness.system import SubjectError
from tests.audit.conftest import IMPORT_SECONDS_MAX
from tests.conftest import ROOT

TASK = "\n@app.task\ndef add(a, b=1, *rest, **more):\n    return a\n"
APP = "from celery import Celery, shared_task\napp = Celery('shop', broker='redis://:hunter2@localhost')\n"


def told(directory: Path, source: str, app: str = "shop:app", *, seconds: float = IMPORT_SECONDS_MAX) -> Facts:
    (directory / "shop.py").write_text(source)
    return survey(app, python=sys.executable, cwd=directory, seconds=seconds)


def refused(directory: Path, source: str, app: str = "shop:app", *, seconds: float = IMPORT_SECONDS_MAX) -> str:
    with pytest.raises(SubjectError) as caught:
        told(directory, source, app, seconds=seconds)
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "app", "said"),
    [
        ("import nothing_like_it", "shop:app", "No module named 'nothing_like_it' (shop.py:1)"),
        ("\nx = (", "shop:app", "SyntaxError: '(' was never closed (shop.py:2)"),
        ("raise SystemExit(3)", "shop:app", "shop:app does not import: SystemExit: 3 (shop.py:1)"),
        ("class E(BaseException): pass\nraise E('no')", "shop:app", "E: no (shop.py:2)"),
        (APP, "shop:application", "shop has no 'application'; it has: shop:app"),
        (APP + "conf = {}", "shop:conf", "shop:conf is no Celery application but dict; it has: shop:app"),
        ("x = 1", "shop", "shop has no Celery application"),
        ("def make(): pass", "shop:make", "shop:make is a function; if it makes the application, write shop:make()"),
        ("def make(): pass", "shop:make()", "shop:make() is no Celery application but NoneType"),
        (APP, "nowhere:app", "nowhere:app does not import: ModuleNotFoundError: No module named 'nowhere'"),
        (APP + "app.conf.include = ['nowhere']", "shop:app", "cannot be set up: ModuleNotFoundError"),
        ("import os\nos.write(2, b'the last word\\n')\nos._exit(7)", "shop:app", "ended with exit 7: the last word"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "shop:app", "ended with SIGSEGV"),
    ],
)
def test_what_cannot_be_imported_is_told_in_one_line(tmp_path: Path, source: str, app: str, said: str) -> None:
    line = refused(tmp_path, source, app)
    assert said in line
    assert "\n" not in line


def test_one_that_hangs_is_ended_and_told_where_it_stood(tmp_path: Path) -> None:
    source = "import time, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True:\n    time.sleep(1)\n"
    line = refused(tmp_path, source, seconds=1)
    assert "not imported within 1 s (it stood in shop.py:4); --timeout gives it more" in line


def test_one_that_holds_the_interpreter_is_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.audit.survey.PATIENCE_SECONDS", 1.0)
    # A C function that never lets go of the interpreter's lock: no thread of ours runs in there.
    line = refused(tmp_path, "import re\nre.match('(a*)*b', 'a' * 60)\n", seconds=1)
    assert line == "shop:app was not imported within 1 s and was ended; --timeout gives it more"


def test_what_it_prints_disturbs_nothing(tmp_path: Path) -> None:
    noise = "import sys\nprint('x' * 10**7)\nsys.stderr.write('y' * 10**7)\n"
    facts = told(tmp_path, noise + APP + TASK)
    assert [task.name for task in facts.tasks] == ["shop.add"]


def test_one_that_tells_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.audit.survey.ANSWER_BYTES_MAX", 1000)
    assert "tells more than" in refused(tmp_path, APP + TASK)


def test_threads_and_daemons_of_an_import_are_ended(tmp_path: Path) -> None:
    source = f"""
import os, subprocess, sys, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", "{tmp_path.name}"])
    os._exit(0)
os.wait()
"""
    assert told(tmp_path, source + APP + TASK).tasks
    left = [process for process in psutil.process_iter(["cmdline"]) if tmp_path.name in (process.info["cmdline"] or [])]
    assert left == []


def test_no_secret_is_told(tmp_path: Path) -> None:
    source = """
from celery import Celery
app = Celery("shop", broker="sentinel://:hunter2@localhost", backend="redis://:hunter2@localhost")
app.conf.broker_transport_options = {"sentinel_kwargs": {"password": "hunter2"}, "visibility_timeout": 7}
app.conf.result_backend_transport_options = {"password": "hunter2"}
"""
    facts = told(tmp_path, source + TASK)
    assert "hunter2" not in str(facts)
    assert facts.transport == "sentinel"
    assert facts.transport_options["visibility_timeout"] == 7


def test_nothing_is_written_beside_the_subject(tmp_path: Path) -> None:
    told(tmp_path, APP + TASK)
    assert [path.name for path in tmp_path.iterdir()] == ["shop.py"]


def test_the_options_of_a_task_are_the_effective_ones(tmp_path: Path) -> None:
    source = (
        APP
        + """
app.conf.update(task_time_limit=9, task_soft_time_limit=8, task_acks_late=True)
@app.task(bind=True, soft_time_limit=3, max_retries=7, rate_limit="10/m", queue="slow", autoretry_for=(OSError,))
def one(self, invoice_id, *, loud=False):
    pass
"""
    )
    (task,) = told(tmp_path, source).tasks
    expected = {
        "acks_late": True,
        "time_limit": 9,
        "soft_time_limit": 3,
        "max_retries": 7,
        "rate_limit": "10/m",
        "autoretry_for": ["builtins.OSError"],
    }
    assert expected.items() <= task.options.items()
    assert task.queue == "slow"
    assert (task.file, task.line) == (str(tmp_path / "shop.py"), 5)
    assert [(each.name, each.has_default) for each in task.parameters] == [
        ("self", False),
        ("invoice_id", False),
        ("loud", True),
    ]


@pytest.mark.parametrize(
    ("app", "more"),
    [
        ("shop", ""),
        ("shop:app", ""),
        ("shop.app", ""),
        ("shop:make()", "def make():\n    return app\n"),
        ("shop:Web.flask", "class Web:\n    class flask:\n        extensions = {'celery': app}\n"),
    ],
)
def test_an_application_is_found_as_people_name_it(tmp_path: Path, app: str, more: str) -> None:
    source = APP + more + "@shared_task\ndef lazy():\n    pass\n"
    assert [task.name for task in told(tmp_path, source, app).tasks] == ["shop.lazy"]


def test_tasks_that_are_discovered_are_found(tmp_path: Path) -> None:
    for name in ("shop", "shop/mails"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "shop" / "celery.py").write_text(APP + "app.autodiscover_tasks(['shop.mails'])\n")
    (tmp_path / "shop" / "mails" / "tasks.py").write_text(
        "from celery import shared_task\n@shared_task\ndef send(): ...\n"
    )

    facts = survey("shop.celery:app", python=sys.executable, cwd=tmp_path, seconds=IMPORT_SECONDS_MAX)
    assert [(task.name, task.own) for task in facts.tasks] == [("shop.mails.tasks.send", True)]
    assert {"shop.celery", "shop.mails.tasks"} <= {module.name for module in facts.modules}


def test_a_python_is_found_by_path_by_name_and_by_its_environment(tmp_path: Path) -> None:
    assert found_python("", ROOT) == sys.executable
    assert found_python(sys.executable, ROOT) == sys.executable
    assert found_python(sys.prefix, ROOT) == str(Path(sys.prefix) / "bin" / "python")
    for wrong in ("/nowhere/python", str(tmp_path)):
        with pytest.raises(SubjectError, match=r"--python .*: there is no Python to start"):
            found_python(wrong, ROOT)


def test_what_is_run_in_the_subjects_python_may_meet_an_old_one() -> None:
    source = (ROOT / "harness" / "systems" / "celery" / "surveyor.py").read_text()
    ast.parse(source, feature_version=(3, 8))


def test_a_python_without_celery_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "celery.py").write_text("raise ImportError('hidden')")
    assert "has no Celery" in refused(tmp_path, APP)
