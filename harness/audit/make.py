"""An audit from beginning to end."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from harness.audit.code import Code
from harness.audit.facts import Facts
from harness.audit.finding import Accepted, Audit
from harness.audit.judge import judge
from harness.audit.survey import NOTHING, survey
from harness.system import SubjectError

NOTHING_ACCEPTED: Mapping[str, Accepted] = MappingProxyType({})


def make_audit(
    app: str,
    *,
    python: str,
    cwd: Path,
    seconds: float,
    accepted: Mapping[str, Accepted] = NOTHING_ACCEPTED,
    environment: Mapping[str, str] = NOTHING,
) -> Audit:
    """Ask the live application, read its source, judge both; `accepted` is a baseline by fingerprints.

    `environment`: what its import needs besides ours.

    :raises SubjectError: one sentence; it cannot be asked within `seconds`, or has no task
    """
    facts = survey(app, python=python, cwd=cwd, seconds=seconds, environment=environment)
    return audit_of(app, facts, folder=cwd, accepted=accepted)


def audit_of(app: str, facts: Facts, *, folder: Path, accepted: Mapping[str, Accepted] = NOTHING_ACCEPTED) -> Audit:
    """Of what the live application has said; `folder`: what the places in its source are told by.

    :raises SubjectError: it has no task
    """
    if not facts.tasks:
        raise SubjectError(f"{app} has no task of its own; is the module imported that has them?")
    return judge(app, facts, Code(facts, folder), accepted)
