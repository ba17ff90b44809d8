"""What planting a bug in a task takes."""

from collections.abc import Callable
from typing import Any


def own_tasks(app: Any) -> list[Any]:
    return [task for name, task in app.tasks.items() if name.startswith("reference_worker.")]


def replace_body(app: Any, name: str, body: Callable[..., None]) -> None:
    task = app.tasks[name]
    task.run = body.__get__(task)
