"""`jobproof init` writes what is known and marks what is left; `certify` refuses the marks, a line for each."""

import re
import shutil
from pathlib import Path

import pytest

from harness.contract_file import compile_contract
from tests.certify.conftest import SUBJECTS, Environments, findings
from tests.conftest import JobproofCommand

LINES_MAX = 10


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The classic as its team has it, without a contract."""
    folder = tmp_path / "classic"
    shutil.copytree(SUBJECTS / "classic", folder, ignore=shutil.ignore_patterns("jobproof_contract.py", "__pycache__"))
    return folder


def test_every_task_is_found_and_what_the_settings_tell_is_filled_in(jobproof: JobproofCommand, shop: Path) -> None:
    ran = jobproof("init", "shop.celery:app", cwd=shop)
    assert ran.code == 0, ran.err
    text = (shop / "jobproof_contract.py").read_text()
    assert 'name="shop.tasks.send_receipt",  # shop/tasks.py:' in text
    assert 'queue="mail"' in text
    assert "attempts_max=8," in text  # 1, 5 retries, and two deaths of its worker
    assert '"MAIL_HOST": "{smtp_host}"' in text
    assert '"SHOP_DB": todo(' in text


def test_certify_refuses_each_todo_with_one_line_that_names_it(jobproof: JobproofCommand, shop: Path) -> None:
    jobproof("init", "shop.celery:app", cwd=shop)
    ran = jobproof("certify", "jobproof_contract.py", cwd=shop)
    assert ran.code == 2
    lines = ran.err.splitlines()
    todos = [n for n, line in enumerate((shop / "jobproof_contract.py").read_text().splitlines(), 1) if "todo(" in line]
    wanted = todos[1:]  # the first is where the page says what it means
    assert [int(re.findall(r"jobproof_contract\.py:(\d+): still to be said", line)[0]) for line in lines] == wanted
    assert not list(shop.glob("reports/*"))


def test_run_refuses_the_first_todo_with_its_line(jobproof: JobproofCommand, shop: Path) -> None:
    jobproof("init", "shop.celery:app", cwd=shop)
    ran = jobproof("run", "--contract", "jobproof_contract.py", cwd=shop)
    assert ran.code == 2
    assert re.search(r"jobproof_contract\.py:\d+: still to be said: what SHOP_DB is set to", ran.err)


@pytest.mark.timeout(300)
def test_from_init_to_verdict_takes_ten_lines_at_most(
    jobproof: JobproofCommand, environment_of: Environments, shop: Path
) -> None:
    python = environment_of("classic")
    assert jobproof("init", "shop.celery:app", "--python", python, cwd=shop).code == 0
    path = shop / "jobproof_contract.py"
    before = path.read_text().splitlines()
    text = path.read_text()
    text = re.sub(r'"SHOP_DB": todo\(.*?\)', '"SHOP_DB": "{directory}/shop.db"', text)
    text = re.sub(r"inputs=todo\(.*\),", 'inputs=({"order_id": 1}, {"order_id": 2}),', text)
    text = re.sub(r"# prepare=.*", 'prepare="shop.fixtures:load",', text)
    path.write_text(text)
    assert len(set(text.splitlines()) - set(before)) <= LINES_MAX
    ran = jobproof("certify", "jobproof_contract.py", "--profile", "quick", cwd=shop, out=True)
    assert ran.code == 1, ran.err
    assert set(findings(ran, part="run")) == {("effects-once", "shop.tasks.send_receipt")}


def test_a_file_that_is_there_is_not_overwritten(jobproof: JobproofCommand, shop: Path) -> None:
    (shop / "jobproof_contract.py").write_text("mine")
    ran = jobproof("init", "shop.celery:app", cwd=shop)
    assert ran.code == 2
    assert (shop / "jobproof_contract.py").read_text() == "mine"


def test_names_that_would_end_a_string_or_a_comment_stay_names(jobproof: JobproofCommand, tmp_path: Path) -> None:
    (tmp_path / "hostile.py").write_text(
        "from celery import Celery\n"
        "app = Celery()\n"
        'NAME = "x\\"\\n, inputs=(), evil=__import__(\'os\').abort())\\n#"\n'
        "@app.task(name=NAME)\n"
        "def task() -> None: ...\n"
    )
    ran = jobproof("init", "hostile:app", cwd=tmp_path)
    assert ran.code == 0, ran.err
    (task,) = compile_contract(tmp_path / "jobproof_contract.py").tasks
    assert task.name.startswith('x"\n, inputs=()')
