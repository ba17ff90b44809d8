"""What is still to be said in a contract that `jobproof init` has written."""

import ast
from pathlib import Path

from msgspec import Struct

from harness.contract import todo


class Todo(Struct, frozen=True):
    line: int
    what: str


def todos_in(path: Path) -> tuple[Todo, ...]:
    """Every call of `todo(...)`, in order; none where the file cannot be parsed, which whoever executes it says."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return ()
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == todo.__name__]
    found = [Todo(call.lineno, _text(call)) for call in calls]
    return tuple(sorted(found, key=lambda each: each.line))


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _text(call: ast.Call) -> str:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else "it is not said what"
