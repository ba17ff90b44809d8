"""Every rule finds its mistake where it is planted, nothing else does, and a correct application is left alone."""

import pytest

from harness.audit.rules import CATALOGUE
from tests.audit.conftest import AuditOf
from tests.audit.planted import CORRECT, PLANTED, Planted


def test_a_correct_application_is_left_alone(audit_of: AuditOf) -> None:
    audit = audit_of()

    assert [(finding.rule, finding.what) for finding in audit.findings] == []
    assert audit.outcome == "held"
    assert {task.name for task in audit.facts.tasks} == {
        "shop.tasks.send_invoice",
        "shop.tasks.send_receipt",
        "shop.tasks.total",
        "shop.tasks.sweep",
    }


@pytest.mark.parametrize("mistake", PLANTED, ids=[f"{number}-{each.rule}" for number, each in enumerate(PLANTED)])
def test_a_planted_mistake_is_found_and_nothing_else(audit_of: AuditOf, mistake: Planted) -> None:
    audit = audit_of({mistake.correct: mistake.wrong})

    assert audit.outcome == "violated"
    assert {finding.rule for finding in audit.findings} == {mistake.rule, *mistake.also}
    found = [finding for finding in audit.findings if finding.rule == mistake.rule]
    assert {finding.kind for finding in found} == {"found"}
    if mistake.at:
        source = CORRECT[found[0].file].replace(mistake.correct, mistake.wrong)
        assert mistake.at in source.splitlines()[found[0].line - 1]


def test_every_rule_has_a_planted_mistake() -> None:
    assert {mistake.rule for mistake in PLANTED} == {rule.name for rule in CATALOGUE}


def test_no_two_rules_have_the_same_name() -> None:
    assert len({rule.name for rule in CATALOGUE}) == len(CATALOGUE)
