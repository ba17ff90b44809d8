"""What a person sees of an audit, on the terminal; and the page that tells what is asked."""

from itertools import groupby

from rich.console import Console
from rich.text import Text

from harness import __version__
from harness.audit.finding import Audit, Finding, Rule, Severity
from harness.exit_codes import ExitCode
from harness.report.markdown import escaped
from harness.report.summary import counted
from harness.report.terminal import console
from harness.report.visible import NAME_LENGTH_MAX, SENTENCE_LENGTH_MAX, visible

PLACES_MAX = 12
_STYLE = {Severity.ERROR: "bold red", Severity.WARNING: "yellow"}
_MEANING: dict[ExitCode, str] = {
    ExitCode.HELD: "no finding that is not accepted",
    ExitCode.VIOLATED: "there are findings",
    ExitCode.UNKNOWN: "no finding, but not everything could be decided",
}
_HEAD = """# The rules of the audit

What [`jobproof audit`](audit.md) asks of an application. Where a rule cannot be decided it says so, and does not pass.
Each finds its mistake where that is planted in a correct application, which it leaves alone otherwise (`tests/audit`).
This page is made by `jobproof list rules --format markdown` (`make rules`). A failure mode that has scenarios, too, is
told of in [failure modes](failure-modes.md).

"""


def show(audit: Audit, *, code: ExitCode, baseline: str) -> None:
    """Findings by rule, the worst first; what could not be decided; what was accepted; how many."""
    out = console()
    versions = audit.versions
    out.print(
        Text(
            f"jobproof {__version__}: audit of {visible(audit.app, NAME_LENGTH_MAX)}, "
            f"{counted(len(audit.facts.tasks), 'task')}, Celery {visible(versions.get('celery', '') or '?')} on "
            f"{visible(audit.facts.transport) or 'no broker that is set'}, {counted(len(audit.rules), 'rule')}"
        ),
        soft_wrap=True,
    )
    new = [finding for finding in audit.findings if not finding.accepted]
    several = _of_several_rules(new)
    alone = [finding for finding in new if _place(finding) not in several]
    for _, alike in groupby(alone, key=lambda finding: (finding.rule, finding.kind)):
        _explain(out, list(alike))
    for (what, file, line), rules in several.items():
        out.print(Text("\nunknown", style="yellow").append(f" {', '.join(rules)}", style="bold"))
        out.print(Text(f"  {visible(file, NAME_LENGTH_MAX)}:{line}  {visible(what)}"), soft_wrap=True)
    out.print()
    for finding in audit.findings:
        if finding.accepted:
            out.print(
                Text(f"accepted: {finding.rule}: {visible(finding.what)}: {visible(finding.accepted)}", style="dim")
            )
    for gone in audit.gone:
        out.print(
            Text(f"accepted and gone: {visible(gone.rule)}: {visible(gone.what)}; take it out of {visible(baseline)}"),
            soft_wrap=True,
        )
    out.print(Text(summary(audit)))
    out.print(Text(f"exit code {int(code)}: {_MEANING[code]}"))


def _place(finding: Finding) -> tuple[str, str, int]:
    return finding.what, finding.file, finding.line


def _of_several_rules(findings: list[Finding]) -> dict[tuple[str, str, int], list[str]]:
    """What keeps several rules from deciding is told once."""
    found: dict[tuple[str, str, int], list[str]] = {}
    for finding in findings:
        if finding.kind == "unknown":
            found.setdefault(_place(finding), []).append(finding.rule)
    return {place: rules for place, rules in found.items() if len(rules) > 1}


def summary(audit: Audit) -> str:
    """How many of what, in one sentence."""
    new = [finding for finding in audit.findings if not finding.accepted]
    errors = sum(finding.kind == "found" and finding.severity is Severity.ERROR for finding in new)
    warnings = sum(finding.kind == "found" and finding.severity is Severity.WARNING for finding in new)
    return (
        f"{counted(errors, 'error')}, {counted(warnings, 'warning')}, {len(new) - errors - warnings} unknown, "
        f"{len(audit.findings) - len(new)} accepted"
    )


def _explain(out: Console, alike: list[Finding]) -> None:
    first = alike[0]
    word = "unknown" if first.kind == "unknown" else str(first.severity)
    head = Text("\n")
    head.append(word, style="yellow" if first.kind == "unknown" else _STYLE[first.severity])
    head.append(f" {first.rule}", style="bold")
    head.append(f" ({', '.join(first.failure_modes)})")
    out.print(head)
    for finding in alike[:PLACES_MAX]:
        place = f"{visible(finding.file, NAME_LENGTH_MAX)}:{finding.line}"
        out.print(Text(f"  {place}  {visible(finding.what)}"), soft_wrap=True)
    if len(alike) > PLACES_MAX:
        out.print(Text(f"  and {len(alike) - PLACES_MAX} more; --format json has all"))
    out.print(Text(f"  why: {first.hurts}", style="dim"), soft_wrap=True)
    out.print(Text(f"  fix: {first.fix}"), soft_wrap=True)


def rules_page(catalogue: tuple[Rule, ...]) -> str:
    """Markdown: what each rule asks, how bad it is where it is not so, and what to write."""
    lines = ["| rule | severity | failure modes | asks that | or else | fix |", "|---|---|---|---|---|---|"]
    lines += [
        f"| `{rule.name}` | {rule.severity} | {' '.join(rule.failure_modes)} | "
        f"{' | '.join(escaped(text, SENTENCE_LENGTH_MAX) for text in (rule.asks, rule.hurts, rule.fix))} |"
        for rule in catalogue
    ]
    return _HEAD + "\n".join(lines) + "\n"
