"""What an application says of itself where its jobs will run: on this machine, or in a container of its image."""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from harness.audit.facts import Facts
from harness.audit.survey import asked
from harness.contract import Contract, fill
from harness.runtimes.runtime import Runtime


class Surveyed(Struct, frozen=True, kw_only=True):
    """`folder`: where its source is on this machine, which places in it are told by."""

    facts: Facts
    folder: Path


def surveyed(contract: Contract, runtime: Runtime, home: Any, *, seconds: float) -> Surveyed:
    """:raises SubjectError: one sentence; there is no such application, or none that can be asked within `seconds`"""
    with runtime.apart(home) as lane:
        facts = asked(
            contract.app,
            lane,
            python=home.python_of(contract, runtime.cwd),
            cwd=runtime.cwd,
            seconds=seconds,
            environment=surroundings(contract, home),
        )
        files = [*(each.file for each in facts.tasks), *(each.file for each in facts.modules)]
        source = runtime.source_in(lane, [file for file in files if file])
    return Surveyed(facts=_at_home(facts, source.files), folder=source.folder)


def surroundings(contract: Contract, home: Any) -> dict[str, str]:
    """What the subject is started with in this lane, for an import that needs its settings; nothing listens there."""
    home.make_ready()
    values = {**home.placeholders, "python": ""}
    own = {name: fill(text, values, where=name) for name, text in contract.environment.items()}
    found: dict[str, str] = home.subject_environment({"CELERY_BROKER_URL": values["broker_url"], **own})
    return found


def _at_home(facts: Facts, files: dict[str, str]) -> Facts:
    replace = msgspec.structs.replace
    return replace(
        facts,
        tasks=tuple(replace(each, file=files.get(each.file, each.file)) for each in facts.tasks),
        modules=tuple(replace(each, file=files.get(each.file, each.file)) for each in facts.modules),
    )
