"""An audit as SARIF 2.1.0, for a code host's list of alerts."""

from typing import Any
from urllib.parse import quote

from harness import __version__
from harness.audit.finding import Accepted, Audit, Finding, Rule
from harness.report.visible import SENTENCE_LENGTH_MAX, visible

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "jobproof/v1"


def render(audit: Audit, catalogue: tuple[Rule, ...], *, has_baseline: bool) -> dict[str, Any]:
    """One run. What could not be decided is a result of kind `open`; what is accepted is suppressed, with its reason;
    with a baseline each result tells whether it is new, and what is gone is there as `absent`.
    """
    results = [_result(finding, catalogue, has_baseline=has_baseline) for finding in audit.findings]
    results += [_absent(gone, catalogue) for gone in audit.gone]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "jobproof",
                        "semanticVersion": __version__,
                        "rules": [_rule(rule) for rule in catalogue],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": results,
                "properties": {"app": _text(audit.app), "versions": {k: _text(v) for k, v in audit.versions.items()}},
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.name,
        "name": "".join(part.capitalize() for part in rule.name.split("-")),
        "shortDescription": {"text": f"{rule.asks[0].upper()}{rule.asks[1:]}."},
        "fullDescription": {"text": f"Or else: {rule.hurts}."},
        "help": {"text": f"Fix: {rule.fix}."},
        "defaultConfiguration": {"level": str(rule.severity)},
        "properties": {"tags": ["celery", *rule.failure_modes]},
    }


def _result(finding: Finding, catalogue: tuple[Rule, ...], *, has_baseline: bool) -> dict[str, Any]:
    is_open = finding.kind == "unknown"
    found = {
        "ruleId": finding.rule,
        "ruleIndex": _index(finding.rule, catalogue),
        "kind": "open" if is_open else "fail",
        "level": "none" if is_open else str(finding.severity),
        "message": {"text": f"{_text(finding.what)}. {finding.hurts}. Fix: {finding.fix}."},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(_text(finding.file)), "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": max(finding.line, 1)},
                }
            }
        ],
        "partialFingerprints": {FINGERPRINT: finding.fingerprint},
        "suppressions": _suppressions(finding.accepted),
        "properties": {"failureModes": list(finding.failure_modes), "about": _text(finding.about)},
    }
    if has_baseline:
        found["baselineState"] = "unchanged" if finding.accepted else "new"
    return found


def _absent(gone: Accepted, catalogue: tuple[Rule, ...]) -> dict[str, Any]:
    index = _index(_text(gone.rule), catalogue)
    return {
        "ruleId": _text(gone.rule),
        **({"ruleIndex": index} if index >= 0 else {}),
        "message": {"text": _text(gone.what)},
        "partialFingerprints": {FINGERPRINT: _text(gone.fingerprint)},
        "suppressions": _suppressions(gone.reason),
        "baselineState": "absent",
    }


def _suppressions(reason: str) -> list[dict[str, str]]:
    """Of a result that nobody suppressed an empty list, which says so."""
    return [{"kind": "external", "status": "accepted", "justification": _text(reason)}] if reason else []


def _index(name: str, catalogue: tuple[Rule, ...]) -> int:
    """-1 for a rule of another version."""
    return next((number for number, rule in enumerate(catalogue) if rule.name == name), -1)


def _text(text: str) -> str:
    return visible(text, SENTENCE_LENGTH_MAX)
