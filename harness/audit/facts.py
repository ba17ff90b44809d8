"""What an application says of itself, as `harness/systems/celery/surveyor.py` tells it."""

from typing import Any

from msgspec import Struct


class Parameter(Struct, frozen=True, kw_only=True):
    name: str
    kind: str
    has_default: bool


class Named(Struct, frozen=True, kw_only=True):
    """A class or a function of the team's: its module, and its name there."""

    module: str
    name: str


class TaskFacts(Struct, frozen=True, kw_only=True):
    """One task as a worker has it: what the task says, or else the application, or else Celery.

    * `own`: its function stands in the team's code; else `file` is a library's
    * `options`: effective values by Celery's names
    * `queue`: where routing sends it; `queue_error` is said instead where that fails
    * `bases`: the team's classes that it inherits from, the nearest first
    * `overrides`, `request_overrides`: methods of Celery's task and request that it has in its own way; the latter is
      None where its request class cannot be imported
    """

    name: str
    module: str
    function: str
    file: str
    line: int
    own: bool
    options: dict[str, Any]
    queue: str
    queue_error: str
    parameters: tuple[Parameter, ...] = ()
    bases: tuple[Named, ...] = ()
    overrides: tuple[str, ...] = ()
    request_overrides: tuple[str, ...] | None = ()

    @property
    def late(self) -> bool:
        return bool(self.options.get("acks_late"))

    def seconds(self, option: str) -> float | None:
        """An option that is a time, None where it is not set."""
        value = self.options.get(option)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None


class ScheduleEntry(Struct, frozen=True, kw_only=True):
    name: str
    task: str
    schedule: Any = None
    expires: Any = None


class ModuleFacts(Struct, frozen=True, kw_only=True):
    """A module of the team's that is loaded; `numbers` are its globals, and attributes of these, as they are now."""

    name: str
    file: str
    numbers: dict[str, float] = {}


class Facts(Struct, frozen=True, kw_only=True):
    """The whole application.

    `transport` is empty where no broker is set. `queues` is None where none are declared: then each name that is used
    makes a queue.
    """

    module: str
    versions: dict[str, str]
    transport: str
    visibility_default: float | None
    transport_options: dict[str, Any]
    result_backend: str
    settings: dict[str, Any]
    queues: dict[str, dict[str, Any]] | None
    failure_receivers: tuple[Named, ...]
    tasks: tuple[TaskFacts, ...]
    schedule: tuple[ScheduleEntry, ...]
    modules: tuple[ModuleFacts, ...]

    @property
    def celery(self) -> tuple[int, ...]:
        """Celery's version as numbers, (0,) where it is not known."""
        parts = [part for part in self.versions.get("celery", "").split(".")[:2] if part.isdecimal()]
        return tuple(int(part) for part in parts) or (0,)
