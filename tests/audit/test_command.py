"""`jobproof audit` as a person types it: what is printed, what is refused, and the exit codes."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from harness.audit.rules import CATALOGUE
from harness.cli import cli
from tests.audit import planted
from tests.audit.conftest import APP
from tests.audit.sarif_schema import SARIF
from tests.command.test_bad_input import refused
from tests.conftest import ROOT, JobproofCommand

FINDING = "a worker fetches 4 messages a slot, and acknowledges late"


def test_the_reference_worker_has_no_finding_and_nothing_is_left_undecided(jobproof: JobproofCommand) -> None:
    ran = jobproof("audit", "reference_worker.app:app", "--format", "json")
    assert ran.code == 0, ran.out + ran.err
    assert json.loads(ran.out)["findings"] == []


@pytest.mark.parametrize(
    ("bug", "rule"),
    [
        ("early-ack", "acknowledged-before-body"),
        ("late-ack-only", "child-death-acknowledged"),
        ("no-time-limit", "no-hard-limit"),
        ("one-shared-queue", "one-queue-for-all"),
        ("no-reconnect", "broker-given-up"),
        ("soft-limit-swallowed", "soft-limit-swallowed"),
        ("retry-without-bound", "retries-unbounded"),
    ],
)
def test_bugs_of_the_reference_worker_that_can_be_seen_without_a_run_are_found(
    jobproof: JobproofCommand, bug: str, rule: str
) -> None:
    ran = jobproof("audit", "reference_worker.app:app", "--format", "json", REFERENCE_WORKER_BUG=bug)
    assert ran.code == 1
    assert rule in {finding["rule"] for finding in json.loads(ran.out)["findings"]}


def test_a_finding_is_told_with_its_place_its_reason_and_its_fix(jobproof: JobproofCommand, shop: Path) -> None:
    ran = jobproof("audit", APP, cwd=shop)
    assert ran.code == 1
    assert "warning prefetch-hoards (F35, F86)" in ran.out
    assert f"  shop/celery.py:5  {FINDING}" in ran.out
    assert "  why: jobs wait behind a slow one" in ran.out
    assert "  fix: worker_prefetch_multiplier=1" in ran.out
    assert "0 errors, 1 warning, 0 unknown, 0 accepted\nexit code 1: there are findings\n" in ran.out


def test_what_cannot_be_decided_is_unknown_and_does_not_pass(jobproof: JobproofCommand, shop: Path) -> None:
    planted.write(shop, {"countdown=SETTINGS.base * 60": "countdown=unheard_of()"})
    ran = jobproof("audit", APP, cwd=shop)
    assert ran.code == 3, ran.out
    assert "unknown wait-beyond-redelivery" in ran.out
    assert "exit code 3: no finding, but not everything could be decided" in ran.out


def test_a_module_that_cannot_be_read_makes_its_rules_unknown(jobproof: JobproofCommand, shop: Path) -> None:
    planted.write(shop)
    (shop / "shop" / "mail.py").write_text(
        "import pathlib\n\n\ndef deliver(_): ...\n\n\npathlib.Path(__file__).write_text('(')\n"
    )
    ran = jobproof("audit", APP, "--format", "json", cwd=shop)
    assert ran.code == 3, ran.out
    unknown = {finding["rule"] for finding in json.loads(ran.out)["findings"]}
    assert unknown == {rule.name for rule in CATALOGUE if rule.reads}


def test_a_hostile_application_writes_nothing_of_its_own_on_the_terminal(jobproof: JobproofCommand, shop: Path) -> None:
    (shop / "hostile.py").write_text(
        "from celery import Celery\napp = Celery('x', broker='redis://')\n"
        "@app.task(name='[bold]\\x1b]0;owned\\x07\\u202e\\ud800</script>')\ndef task(): ...\n"
    )
    ran = jobproof("audit", "hostile:app", cwd=shop)
    assert ran.code == 1, ran.err
    assert "[bold]⟨U+001B⟩]0;owned⟨U+0007⟩⟨U+202E⟩⟨U+D800⟩</script> has no hard time limit" in ran.out
    for format_ in ("json", "sarif"):
        ran = jobproof("audit", "hostile:app", "--format", format_, cwd=shop)
        assert json.loads(ran.out)
        assert "\x1b" not in ran.out


# --- SARIF ---


def sarif(ran_out: str) -> list[dict[str, object]]:
    found = json.loads(ran_out)
    jsonschema.Draft202012Validator(SARIF).validate(found)
    results: list[dict[str, object]] = found["runs"][0]["results"]
    return results


def test_sarif_has_the_rules_and_each_finding_with_a_relative_place(jobproof: JobproofCommand, shop: Path) -> None:
    ran = jobproof("audit", APP, "--format", "sarif", cwd=shop)
    assert ran.code == 1
    (result,) = sarif(ran.out)
    assert result["ruleId"] == "prefetch-hoards"
    assert (result["kind"], result["level"]) == ("fail", "warning")
    assert result["suppressions"] == []
    assert "baselineState" not in result
    assert str(shop) not in ran.out
    driver = json.loads(ran.out)["runs"][0]["tool"]["driver"]
    assert [rule["id"] for rule in driver["rules"]] == [rule.name for rule in CATALOGUE]
    assert driver["rules"][result["ruleIndex"]]["id"] == "prefetch-hoards"


def test_sarif_tells_what_is_undecided_accepted_and_gone(jobproof: JobproofCommand, shop: Path) -> None:
    jobproof("audit", APP, "--write-baseline", "baseline.json", "--reason", "we know", cwd=shop)
    planted.write(shop, {"countdown=SETTINGS.base * 60": "countdown=unheard_of()"})
    ran = jobproof("audit", APP, "--format", "sarif", "--baseline", "baseline.json", cwd=shop)

    undecided, gone = sarif(ran.out)
    assert (undecided["kind"], undecided["level"], undecided["baselineState"]) == ("open", "none", "new")
    assert (gone["ruleId"], gone["baselineState"]) == ("prefetch-hoards", "absent")

    planted.write(shop, {"    worker_prefetch_multiplier=1,\n": ""})
    ran = jobproof("audit", APP, "--format", "sarif", "--baseline", "baseline.json", cwd=shop)
    (accepted,) = sarif(ran.out)
    assert accepted["baselineState"] == "unchanged"
    assert accepted["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "we know"}]


# --- baselines ---


def test_what_is_accepted_with_a_reason_is_no_finding_any_more(jobproof: JobproofCommand, shop: Path) -> None:
    wrote = jobproof("audit", APP, "--write-baseline", "baseline.json", "--reason", "a small box", cwd=shop)
    assert (wrote.code, wrote.out) == (0, "baseline.json: 1 finding\n")

    ran = jobproof("audit", APP, "--baseline", "baseline.json", cwd=shop)
    assert ran.code == 0, ran.out
    assert f"accepted: prefetch-hoards: {FINDING}: a small box" in ran.out
    assert "0 errors, 0 warnings, 0 unknown, 1 accepted" in ran.out


def test_without_a_reason_nothing_is_accepted(jobproof: JobproofCommand, shop: Path) -> None:
    wrote = jobproof("audit", APP, "--write-baseline", "baseline.json", cwd=shop)
    assert "write a reason for 1 of them, or they are not accepted" in wrote.out
    line = refused(jobproof("audit", APP, "--baseline", "baseline.json", cwd=shop))
    assert "prefetch-hoards" in line
    assert "has no reason" in line


def test_a_baseline_survives_moved_lines_and_tells_what_is_gone(jobproof: JobproofCommand, shop: Path) -> None:
    planted.write(shop, {'"http://localhost/", timeout=3': '"http://localhost/"'})
    jobproof("audit", APP, "--write-baseline", "baseline.json", "--reason", "legacy", cwd=shop)
    source = (shop / "shop" / "tasks.py").read_text()
    (shop / "shop" / "tasks.py").write_text("# a\n# b\n" + source.replace("def announce():", "# c\ndef announce():"))
    ran = jobproof("audit", APP, "--baseline", "baseline.json", cwd=shop)
    assert ran.code == 0, ran.out

    # The same mistake in another task is another finding.
    (shop / "shop" / "tasks.py").write_text(source.replace("def announce():", "def announce():\n    requests.get('x')"))
    ran = jobproof("audit", APP, "--baseline", "baseline.json", cwd=shop)
    assert ran.code == 1, ran.out

    planted.write(shop)
    ran = jobproof("audit", APP, "--baseline", "baseline.json", cwd=shop)
    assert ran.code == 0, ran.out
    assert "accepted and gone: call-without-timeout: requests.get is called without a timeout; " in ran.out
    assert "take it out of baseline.json" in ran.out


def test_writing_a_baseline_again_keeps_its_reasons(jobproof: JobproofCommand, shop: Path) -> None:
    jobproof("audit", APP, "--write-baseline", "baseline.json", "--reason", "the first", cwd=shop)
    planted.write(shop, {"    worker_prefetch_multiplier=1,\n": "", "result_expires=3600": "result_expires=None"})
    jobproof("audit", APP, "--write-baseline", "baseline.json", "--reason", "the second", cwd=shop)
    accepted = json.loads((shop / "baseline.json").read_text())["accepted"]
    assert {each["rule"]: each["reason"] for each in accepted} == {
        "prefetch-hoards": "the first",
        "results-kept-for-ever": "the second",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("", "is no baseline"),
        ("[]", "is no baseline"),
        ('{"format_version": 9, "accepted": []}', "use a newer jobproof"),
        ('{"format_version": 1, "accepted": [{"fingerprint": 3}]}', "is no baseline"),
        ("[" * 100_000, "is no baseline"),
    ],
)
def test_a_baseline_that_is_none_is_refused(
    jobproof: JobproofCommand, tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "baseline.json"
    if text is not None:
        path.write_text(text)
    assert said in refused(jobproof("audit", "reference_worker.app:app", "--baseline", str(path)))


# --- what is refused ---


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shop.nothing:app"], "No module named 'shop.nothing'"),
        (["shop.celery:nothing"], "shop.celery has no 'nothing'; it has: shop.celery:app"),
        ([""], "APP is empty; name a Celery application, as shop.celery:app"),
        ([APP, "--python", "/nowhere"], "there is no Python to start"),
        ([APP, "--timeout", "soon"], "'soon' is not a time"),
        ([APP, "--format", "xml"], "'xml' is not one of"),
        ([APP, "--write-baseline", "/nowhere/x.json"], "cannot be written"),
        ([APP, "--reason", "because"], "--reason goes with --write-baseline"),
        ([], "Missing argument 'APP'"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    jobproof: JobproofCommand, shop: Path, words: list[str], said: str
) -> None:
    assert said in refused(jobproof("audit", *words, cwd=shop))


def test_an_application_without_tasks_is_refused(jobproof: JobproofCommand, shop: Path) -> None:
    (shop / "empty.py").write_text("from celery import Celery\napp = Celery('empty')\n")
    assert "empty:app has no task of its own" in refused(jobproof("audit", "empty:app", cwd=shop))


def test_one_that_hangs_is_refused_in_time(jobproof: JobproofCommand, shop: Path) -> None:
    (shop / "hangs.py").write_text("import time\ntime.sleep(600)\n")
    line = refused(jobproof("audit", "hangs:app", "--timeout", "1s", cwd=shop))
    assert "hangs:app was not imported within 1 s (it stood in hangs.py:2)" in line


# --- pages ---


def test_the_page_of_the_rules_is_the_catalogue(jobproof: JobproofCommand) -> None:
    printed = jobproof("list", "rules", "--format", "markdown").out
    assert printed == (ROOT / "docs" / "audit-rules.md").read_text(), "run `make rules`"


def test_the_output_in_the_page_is_what_is_printed_today(jobproof: JobproofCommand) -> None:
    (block,) = re.findall(r"```console\n(.*?)```", (ROOT / "docs" / "audit.md").read_text(), re.DOTALL)
    shown = [line for line in block.splitlines() if line and not line.startswith(("$", "..."))]
    assert shown
    assert set(shown) <= set(jobproof("audit", "tests.subjects.pings.pings:app", PINGS_BROKER="").out.splitlines())


def test_an_id_of_a_rule_is_told_of_on_one_of_the_pages() -> None:
    pages = [(ROOT / "docs" / name).read_text() for name in ("audit.md", "failure-modes.md")]
    for identifier in {identifier for rule in CATALOGUE for identifier in rule.failure_modes}:
        assert sum(f"| {identifier} |" in page for page in pages) == 1, identifier


def test_the_command_is_one_of_jobproof() -> None:
    assert "audit" in cli.commands
