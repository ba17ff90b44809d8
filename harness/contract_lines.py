"""Where in a contract's file something stands, for messages about it. The file is read and never run."""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from harness.contract import Contract, todo
from harness.system import SubjectError


class Todo(Struct, frozen=True):
    line: int
    what: str


def todos_in(path: Path) -> tuple[Todo, ...]:
    """Every call of `todo(...)`, in order; none where the file cannot be parsed, which whoever executes it says."""
    calls = [node for node in _nodes(path) if isinstance(node, ast.Call) and _name(node.func) == todo.__name__]
    found = [Todo(call.lineno, _text(call)) for call in calls]
    return tuple(sorted(found, key=lambda each: each.line))


@contextmanager
def located(path: Path, contract: Contract) -> Iterator[None]:
    """Whatever is wrong with a task that the contract names is told with the line where it names it.

    :raises SubjectError: as it was raised within, with the file, and the line where that is known
    """
    try:
        yield
    except SubjectError as error:
        # The longest first: one name may begin with another.
        names = sorted((task.name for task in contract.tasks if task.name in str(error)), key=len, reverse=True)
        lines = [line for name in names[:1] for line in lines_with(path, name)]
        raise SubjectError(f"{path}{f':{lines[0]}' if lines else ''}: {error}") from error


def lines_with(path: Path, text: str) -> list[int]:
    """The lines in which a string stands that is this text."""
    return sorted(node.lineno for node in _nodes(path) if isinstance(node, ast.Constant) and node.value == text)


def _nodes(path: Path) -> Iterator[ast.AST]:
    try:
        yield from ast.walk(ast.parse(path.read_bytes()))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _text(call: ast.Call) -> str:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else "it is not said what"
