"""From what was seen of an application to what is wrong with it. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from harness.audit.code import Code
from harness.audit.facts import Facts
from harness.audit.finding import SCHEMA_VERSION, Accepted, Answer, Audit, Finding, Rule, Severity, Subject, fingerprint
from harness.audit.rules import CATALOGUE
from harness.result import Outcome

_NAMED_MAX = 3
_WORST_FIRST = (Severity.ERROR, Severity.WARNING)


def judge(
    app: str,
    facts: Facts,
    code: Code,
    accepted: Mapping[str, Accepted],
    catalogue: tuple[Rule, ...] = CATALOGUE,
) -> Audit:
    """Every rule's answers, the worst first; `accepted` is a baseline by fingerprints."""
    subject = Subject(app=app, facts=facts, code=code)
    findings = [finding for rule in catalogue for finding in _findings(rule, _answers(rule, subject), accepted)]
    findings.sort(key=lambda each: (_WORST_FIRST.index(each.severity), each.kind == "unknown"))
    there = {finding.fingerprint for finding in findings}
    return Audit(
        schema_version=SCHEMA_VERSION,
        outcome=_outcome(findings),
        app=app,
        versions=facts.versions,
        rules=tuple(rule.name for rule in catalogue),
        findings=tuple(findings),
        gone=tuple(each for each in accepted.values() if each.fingerprint not in there),
        facts=_told(facts, code),
    )


def _outcome(findings: Iterable[Finding]) -> Outcome:
    kinds = {finding.kind for finding in findings if not finding.accepted}
    return "violated" if "found" in kinds else "unknown" if "unknown" in kinds else "held"


def _answers(rule: Rule, subject: Subject) -> Iterator[Answer]:
    """The rule's own, and that it does not know where it could not look or could not go on."""
    try:
        yield from rule.check(subject)
    except Exception as error:  # a rule that crashes must not pass, and must not end the judging by the others
        what = f"the rule crashed ({type(error).__name__}: {error}); please report it"
        place = subject.code.place_of_app(subject.facts.module)
        yield Answer(what=what, about="the rule itself", at=place, unknown=True)
    unread = _unread(rule, subject)
    if unread:
        shown = [f"{name} ({why})" for name, why in list(unread.items())[:_NAMED_MAX]]
        more = f" and {len(unread) - _NAMED_MAX} more" if len(unread) > _NAMED_MAX else ""
        what = f"the source cannot be read of {', '.join(shown)}{more}"
        place = subject.code.place_of_app(subject.facts.module)
        # By name, so that one that has been accepted does not stand for the next.
        yield Answer(what=what, about=f"source of {', '.join(unread)}", at=place, unknown=True)


def _unread(rule: Rule, subject: Subject) -> dict[str, str]:
    """What a rule would have to read and cannot, and why."""
    code = subject.code
    found = dict(sorted(code.unread.items())) if rule.reads else {}
    if rule.reads == "tasks":
        for task in subject.facts.tasks:
            if task.own and code.function_of(task) is None and task.module not in code.unread:
                found[task.name] = "no such function stands in its module"
    return found


def _findings(rule: Rule, answers: Iterable[Answer], accepted: Mapping[str, Accepted]) -> Iterator[Finding]:
    # A call in a base class is found by way of each task that inherits it.
    once = dict.fromkeys((each.about, each.at.file, each.at.line, each.what, each.unknown) for each in answers)
    numbers: Counter[str] = Counter()
    for about, file, line, what, unknown in sorted(once, key=lambda each: (each[1], each[2], each[0], each[3])):
        mark = fingerprint(rule.name, about, numbers[about])
        numbers[about] += 1
        entry = accepted.get(mark)
        yield Finding(
            rule=rule.name,
            kind="unknown" if unknown else "found",
            severity=rule.severity,
            failure_modes=rule.failure_modes,
            what=what,
            about=about,
            file=file,
            line=line,
            hurts=rule.hurts,
            fix=rule.fix,
            fingerprint=mark,
            accepted=entry.reason if entry is not None else "",
        )


def _told(facts: Facts, code: Code) -> Facts:
    """Without what only rules need, and with paths that mean the same on another machine."""
    tasks = tuple(msgspec.structs.replace(task, file=code.shown(task.file, task.module)) for task in facts.tasks)
    return msgspec.structs.replace(facts, tasks=tasks, modules=())
