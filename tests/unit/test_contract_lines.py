"""What is wrong with a contract is told with the line where it stands, and the file is never run for that."""

from pathlib import Path

import pytest

from harness.contract import Contract, ContractError, Task, todo
from harness.contract_lines import Todo, located, todos_in
from harness.system import SubjectError

SOURCE = """from harness.contract import Contract, Task, todo

raise SystemExit  # nobody may run this
CONTRACT = Contract(
    app="shop:app",
    tasks=(
        Task(name="shop.mail", inputs=todo("two jobs")),
        Task(name="shop.mail_all", inputs=todo(3)),
    ),
)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "contract.py").write_text(SOURCE)
    return tmp_path / "contract.py"


def test_every_todo_is_found_with_its_line(path: Path) -> None:
    assert todos_in(path) == (Todo(7, "two jobs"), Todo(8, "it is not said what"))


@pytest.mark.parametrize("text", ["def (", "\0", "(" * 5000])
def test_a_file_that_is_no_python_has_none(path: Path, text: str) -> None:
    path.write_text(text)
    assert todos_in(path) == ()


def test_a_todo_that_is_run_says_what_is_missing() -> None:
    with pytest.raises(ContractError, match="still to be said: two jobs"):
        todo("two jobs")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("'shop:app' has no task 'shop.mail'", "contract.py:7: 'shop:app' has"),
        ("shop.mail_all(order=1) fails", "contract.py:8: shop.mail_all"),
        ("there is no such application", "contract.py: there is no"),
    ],
)
def test_what_is_wrong_with_a_task_is_told_with_the_line_that_names_it(path: Path, message: str, told: str) -> None:
    contract = Contract(
        app="shop:app", tasks=tuple(Task(name=name, inputs=({},)) for name in ("shop.mail", "shop.mail_all"))
    )
    with pytest.raises(SubjectError) as raised, located(path, contract):
        raise SubjectError(message)
    assert told in str(raised.value)
