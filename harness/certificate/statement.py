"""From a certification to what is signed: an in-toto Statement with a test-result predicate and our own. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from harness.certificate.digests import COMMIT, IMAGE, SOURCE
from harness.certify.result import Certification, Finding
from harness.explore.result import Exploration
from harness.failure_modes import FAILURE_MODES
from harness.result import Outcome, Result
from harness.sampling import Sample

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
SCHEMA_VERSION = 1


class Control(Struct, frozen=True, kw_only=True):
    """A known mistake that was planted in the reference worker in the same campaign, and whether it was found."""

    bug: str
    scenario: str
    guarantee: str
    caught: bool


class Crash(Struct, frozen=True, kw_only=True):
    task: str
    name: str
    outcome: Outcome
    tried: int


class Accepted(Struct, frozen=True, kw_only=True):
    """A finding that somebody accepted by name, and that the certificate therefore does not speak against."""

    name: str
    task: str
    status: Outcome
    because: str


class Certified(Struct, frozen=True, kw_only=True):
    """Our own half of the predicate.

    * `contained`: whether the subject could reach nothing but what the harness played
    * `not_covered`: failure modes by id, in words; `left_out` what was asked for and could not be done
    * `drawn`: by task, the inputs that came of a strategy, with the seed; `sampled`: what follows from them
    * `public_key`: of the key that signed. Who holds it is not told by it.
    """

    schema_version: int
    contract_file: str
    python: str
    profile: str
    seed: int
    issued: str
    expires: str
    digests: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, Any]
    scenarios: dict[str, Outcome]
    steps: dict[str, tuple[str, ...]]
    crashes: tuple[Crash, ...]
    held: tuple[str, ...]
    accepted: tuple[Accepted, ...]
    tested: tuple[str, ...]
    audited: tuple[str, ...]
    not_covered: dict[str, str]
    left_out: tuple[str, ...]
    controls: tuple[Control, ...]
    contained: bool
    public_key: str
    drawn: dict[str, tuple[dict[str, Any], ...]] = {}
    sampled: tuple[Sample, ...] = ()


class Named(Struct, frozen=True, kw_only=True):
    """An in-toto ResourceDescriptor."""

    name: str
    digest: dict[str, str]


class Predicate(Struct, frozen=True, kw_only=True, rename={"passed": "passedTests", "warned": "warnedTests"}):
    """The test-result predicate, and ours beside it: whoever does not know that passes over it."""

    result: str
    configuration: tuple[Named, ...]
    passed: tuple[str, ...]
    warned: tuple[str, ...]
    jobproof: Certified


class Statement(Struct, frozen=True, kw_only=True, rename={"kind": "_type", "predicate_type": "predicateType"}):
    kind: str
    subject: tuple[Named, ...]
    predicate_type: str
    predicate: Predicate


def refused(found: Certification, controls: Sequence[Control], accepted: Sequence[str]) -> tuple[str, ...]:
    """Why no certificate can be given; nothing if one can."""
    open_ = [each for each in found.findings if not is_accepted(each, accepted)]
    why = [f"{each.name} {each.status}{f' of {each.task}' if each.task else ''}" for each in open_]
    why += [f"the planted bug {each.bug} was not found in {each.scenario}" for each in controls if not each.caught]
    if not controls:
        why.append("no planted bug was looked for, so nothing shows that one would have been found")
    if found.outcome != "held" and not found.findings:
        why.append(f"the outcome is {found.outcome}")
    names = {name for each in found.findings for name in _names(each)}
    why += [f"--accept {name}: there is no such finding" for name in accepted if name not in names]
    return tuple(dict.fromkeys(why))


def is_accepted(finding: Finding, accepted: Sequence[str]) -> bool:
    return any(name in accepted for name in _names(finding))


def _names(finding: Finding) -> tuple[str, ...]:
    return (finding.name, f"{finding.name}:{finding.task}") if finding.task else (finding.name,)


def statement(
    found: Certification,
    result: Result,
    explorations: Sequence[Exploration],
    *,
    contract_file: str,
    python: str,
    digests: Mapping[str, str],
    settings: Mapping[str, Any],
    controls: Sequence[Control],
    accepted: Sequence[str],
    issued: datetime,
    days: int,
    public_key: str,
) -> Statement:
    """What is to be signed of a certification that is not refused."""
    taken = tuple(
        Accepted(name=each.name, task=each.task, status=each.status, because=each.because)
        for each in found.findings
        if is_accepted(each, accepted)
    )
    kept: dict[str, set[Outcome]] = {}
    for scenario in result.scenarios:
        for guarantee in scenario.guarantees:
            kept.setdefault(guarantee.guarantee, set()).add(guarantee.status)
    names = [f"scenario {name}" for name in found.scenarios] + [f"crash points of {each.task}" for each in explorations]
    outcomes = [*found.scenarios.values(), *(each.outcome for each in explorations)]
    own = Certified(
        schema_version=SCHEMA_VERSION,
        contract_file=contract_file,
        python=python,
        profile=found.profile,
        seed=found.seed,
        issued=issued.isoformat(timespec="seconds"),
        expires=(issued + timedelta(days=days)).isoformat(timespec="seconds"),
        digests=dict(digests),
        versions=found.versions,
        settings=dict(settings),
        scenarios=found.scenarios,
        steps={scenario.name: scenario.steps for scenario in result.scenarios},
        crashes=tuple(
            Crash(task=each.task, name=point.name, outcome=point.outcome, tried=max(point.tried, 1))
            for each in explorations
            for point in each.counted
        ),
        held=tuple(name for name, statuses in kept.items() if statuses == {"held"}),
        accepted=taken,
        tested=found.coverage.tested,
        audited=found.coverage.audited,
        not_covered={mode: FAILURE_MODES.get(mode, "") for mode in found.coverage.not_covered},
        left_out=tuple(f"{each.name}: {each.because}" for each in found.left_out),
        controls=tuple(controls),
        contained=found.contained,
        public_key=public_key,
        drawn={task.name: task.drawn for task in found.tasks if task.drawn},
        sampled=found.sampled,
    )
    subject = Named(name=found.subject, digest={"sha256": digests[SOURCE]})
    commit = (Named(name="commit", digest={"gitCommit": digests[COMMIT]}),) if COMMIT in digests else ()
    image = (Named(name=IMAGE, digest={"sha256": digests[IMAGE]}),) if IMAGE in digests else ()
    return Statement(
        kind=STATEMENT_TYPE,
        subject=(subject, *commit, *image),
        predicate_type=PREDICATE_TYPE,
        predicate=Predicate(
            result="WARNED" if taken else "PASSED",
            configuration=tuple(Named(name=name, digest={"sha256": value}) for name, value in digests.items()),
            passed=tuple(name for name, outcome in zip(names, outcomes, strict=True) if outcome == "held"),
            warned=tuple(name for name, outcome in zip(names, outcomes, strict=True) if outcome != "held"),
            jobproof=own,
        ),
    )
