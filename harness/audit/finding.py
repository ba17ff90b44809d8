"""What an audit finds, as the value behind every report. Its JSON has a version, which grows when it changes."""

import ast
import hashlib
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Literal, TypeAlias

from msgspec import Struct

from harness.audit.code import Code, Function, Module, Place
from harness.audit.facts import Facts, TaskFacts
from harness.result import Outcome

SCHEMA_VERSION = 1
ABOUT_CHARACTERS_MAX = 200


class Severity(StrEnum):
    """`error`: a job is lost, doubled or stuck by one ordinary fault; `warning`: it costs, or it takes two."""

    ERROR = "error"
    WARNING = "warning"


class Answer(Struct, frozen=True, kw_only=True):
    """What a rule says of one place: a finding, or with `unknown` that it cannot be decided there, and why.

    `about` names what it is about in words that do not change when lines move: a task, a setting, a function and what
    it calls.
    """

    what: str
    about: str
    at: Place
    unknown: bool = False


class Subject(Struct, frozen=True, kw_only=True):
    """What rules judge: what the application says of itself, and what its source says."""

    app: str
    facts: Facts
    code: Code

    def task(self, task: TaskFacts, what: str, *, unknown: bool = False) -> Answer:
        """An answer about a task; `what` goes on after its name."""
        place = self.code.place_of_task(task)
        return Answer(what=f"{task.name} {what}", about=f"task {task.name}", at=place, unknown=unknown)

    def call(self, call: ast.Call, module: Module, within: Function | None, what: str, **words: bool) -> Answer:
        """An answer about a call in the source."""
        where = str(within) if within is not None else module.name
        about = f"{where} {ast.unparse(call.func)[:ABOUT_CHARACTERS_MAX]}"
        return Answer(what=what, about=about, at=module.place(call), **words)

    def schedule(self, name: str, what: str) -> Answer:
        """An answer about an entry of the schedule; `what` goes on after its name."""
        place = self.code.place_of_setting(name, self.facts.module)
        return Answer(what=f"the schedule {name!r} {what}", about=f"schedule {name}", at=place)

    def setting(self, name: str, what: str, *, unknown: bool = False) -> Answer:
        place = self.code.place_of_setting(name, self.facts.module)
        return Answer(what=what, about=f"setting {name}", at=place, unknown=unknown)


Check: TypeAlias = Callable[[Subject], Iterator[Answer]]


class Rule(Struct, frozen=True, kw_only=True):
    """One thing that is asked of an application.

    * `failure_modes`: ids of what goes wrong where it is not so
    * `asks`: what must be so, as a sentence; `hurts`: what happens else; `fix`: what to write
    * `reads`: whether it needs the source, of the tasks or of every module; where that cannot be read it is unknown
    * `check`: yields an answer for each place where it is not so, or not known; nothing where all is well
    """

    name: str
    severity: Severity
    failure_modes: tuple[str, ...]
    asks: str
    hurts: str
    fix: str
    check: Check
    reads: Literal["", "tasks", "modules"] = ""


class Finding(Struct, frozen=True, kw_only=True):
    """`kind` tells what was found from what could not be decided. `accepted` is the reason that the baseline gives."""

    rule: str
    kind: Literal["found", "unknown"]
    severity: Severity
    failure_modes: tuple[str, ...]
    what: str
    about: str
    file: str
    line: int
    hurts: str
    fix: str
    fingerprint: str
    accepted: str = ""


class Accepted(Struct, frozen=True, kw_only=True):
    """An entry of a baseline file."""

    fingerprint: str
    rule: str
    what: str
    reason: str


class Audit(Struct, frozen=True, kw_only=True):
    """`outcome`: violated where there is a finding that is not accepted, else unknown where something is not decided,
    and not accepted as that, else held. `gone`: what the baseline accepts and is not there any more.
    """

    schema_version: int
    outcome: Outcome
    app: str
    versions: dict[str, str]
    rules: tuple[str, ...]
    findings: tuple[Finding, ...]
    gone: tuple[Accepted, ...]
    facts: Facts


def fingerprint(rule: str, about: str, number: int) -> str:
    """The same as long as the same is wrong in the same thing; `number` tells apart what is wrong there twice."""
    return hashlib.sha256(f"1\0{rule}\0{about}\0{number}".encode(errors="replace")).hexdigest()[:16]
