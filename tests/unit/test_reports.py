import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from junitparser import JUnitXml
from markdown_it import MarkdownIt

from harness.checkers import judge
from harness.events import (
    Acknowledged,
    AttemptEnded,
    AttemptStarted,
    CrashPointReached,
    Delivered,
    EffectApplied,
    EffectRequested,
    EnqueueCalled,
    EnqueueReturned,
    Event,
    FaultBegan,
    FaultEnded,
    FaultLanded,
    FaultMissed,
    JobId,
    MessageId,
    NodeExited,
    NodeStarted,
    Queued,
    QueueDrained,
    RunBegan,
    RunEnded,
)
from harness.exit_codes import ExitCode
from harness.history import History
from harness.plan import NotCovered
from harness.report import html, junit, markdown, terminal, timeline
from harness.report.summary import headline
from harness.report.visible import visible
from harness.result import (
    SCHEMA_VERSION,
    GuaranteeResult,
    Outcome,
    Result,
    ScenarioResult,
    Witness,
    guarantee_result,
    outcome_of,
)
from reference_worker.contract import CONTRACT

TASK = "reference_worker.send_invoice_email"
REPLAY = "jobproof run killed-between-effect-and-record --bug check-then-send --seed 7"
JOB, MESSAGE = JobId("job-1"), MessageId("11111111-aaaa-bbbb-cccc-000000000000")

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"'><b onmouseover=alert(1)>",
    "]]><!--&amp;&#60;",
    "{{ 7 * 7 }}{% raw %}",
    "nul\x00bell\x07csi\x9bdelete\x7f",
    "\x1b[2J\x1b]8;;https://evil.example\x07red",
    "\u202eevil\u2066\u200b\ufeff",
    "\ud800\udfff\ufffe\uffff",
    "| a | b |\n| --- | --- |\r\n# heading\n\n- item",
    "`` ` ``` code",
    "[click](https://evil.example) ![x](//evil.example/x.png) www.evil.example @everyone",
    "x" * 100_000,
    "\u0301" * 1000,
    "",
)


def body(invoice: str) -> str:
    return f'{{"metadata":{{"invoice_id":"{invoice}"}}}}'


def requested(number: int, invoice: str = "inv-1001", key: str = "") -> EffectRequested:
    return EffectRequested(
        request=number,
        label="POST /v1/emails",
        key=key,
        headers={},
        body=body(invoice),
        fingerprint=f"sha256:{invoice}",
        connection="127.0.0.1:1",
    )


def applied(number: int, key: str = "") -> EffectApplied:
    return EffectApplied(request=number, label="POST /v1/emails", key=key)


def source(event: Event) -> str:
    name = type(event).__name__
    if name.startswith(("Fault", "CrashPoint")):
        return "nemesis"
    if name.startswith("Effect"):
        return "ledger"
    if name in {"Queued", "Delivered", "Acknowledged"}:
        return "broker"
    return "notifications" if name.startswith("Attempt") else "harness"


def history(*events: Event, scenario: str = "killed-between-effect-and-record", guarantees: tuple[str, ...]) -> History:
    """Events a tenth of a second apart, stamped as the store stamps them."""
    began = RunBegan(
        format_version=1,
        scenario=scenario,
        guarantees=guarantees,
        contract=CONTRACT,
        plan_digest="sha256:0",
        seed=1,
        steps=("SIGKILL the pool child when job-1 stands at effect-applied",),
    )
    seqs: dict[str, int] = {}
    stamped = []
    for number, event in enumerate((began, *events)):
        name = event.source or source(event)
        seqs[name] = seqs.get(name, -1) + 1
        stamped.append(msgspec.structs.replace(event, at=number / 10, source=name, seq=seqs[name]))
    return History(stamped)


def sent_twice(scenario: str = "killed-between-effect-and-record") -> History:
    return history(
        NodeStarted(node="notifications", pid=10),
        EnqueueCalled(job=JOB, task=TASK, identity="inv-1001"),
        Queued(queue="notifications", message=MESSAGE, delivery_tag="t", body_digest="sha256:0"),
        EnqueueReturned(job=JOB, outcome="ok", message=MESSAGE),
        Delivered(message=MESSAGE, delivery_tag="t", client="127.0.0.1:2"),
        AttemptStarted(message=MESSAGE, task=TASK, pid=11),
        requested(1),
        applied(1),
        CrashPointReached(point="effect-applied", job=JOB, pid=11, occurrence=1),
        FaultBegan(step=0, fault="SIGKILL the pool child"),
        FaultLanded(step=0, fault="SIGKILL the pool child", targets=("pool child 11",), jobs=(JOB,)),
        FaultEnded(step=0, fault="SIGKILL the pool child"),
        AttemptStarted(message=MESSAGE, task=TASK, pid=12),
        requested(2),
        applied(2),
        AttemptEnded(message=MESSAGE, pid=12, state="SUCCESS"),
        Acknowledged(message=MESSAGE, delivery_tag="t"),
        QueueDrained(),
        NodeExited(node="notifications", pid=10, status="SIGKILL"),
        RunEnded(),
        scenario=scenario,
        guarantees=("nothing-lost", "effects-once", "exercised"),
    )


def judged(of: History, **changes: object) -> ScenarioResult:
    verdicts = judge(of)
    result = ScenarioResult(
        name=of.began.scenario,
        story="The effect has been applied, and the worker dies before it has recorded it.",
        outcome=outcome_of(verdicts),
        seconds=1.9,
        covers=("F01", "W8"),
        steps=("SIGKILL the pool child when job-1 stands at effect-applied",),
        guarantees=tuple(guarantee_result(verdict) for verdict in verdicts),
        replay=REPLAY,
    )
    return msgspec.structs.replace(result, **changes)


def result(*scenarios: ScenarioResult, outcome: Outcome = "violated", **changes: object) -> Result:
    value = Result(
        schema_version=SCHEMA_VERSION,
        outcome=outcome,
        subject="reference-worker",
        bug="check-then-send",
        seed=7,
        began="2026-01-01T00:00:00+00:00",
        seconds=2.0,
        versions={"jobproof": "0.1.0", "celery": "5.7.0"},
        scenarios=scenarios,
        replay="jobproof run --bug check-then-send --seed 7",
    )
    return msgspec.structs.replace(value, **changes)


def plain(
    status: Outcome, *, name: str = "scenario-1", guarantee: str = "nothing-lost", because: str = "so it is"
) -> ScenarioResult:
    return ScenarioResult(
        name=name,
        story="A story.",
        outcome=status,
        seconds=1.0,
        covers=(),
        steps=(),
        guarantees=(GuaranteeResult(guarantee=guarantee, status=status, because=because, witnesses=()),),
        replay=f"jobproof run {name} --seed 7",
    )


def hostile_result(text: str) -> tuple[Result, dict[str, History]]:
    """Every text of a result and of its history is the same hostile one."""
    events = history(
        EnqueueCalled(job=JobId(text), task=text, identity=text),
        EnqueueReturned(job=JobId(text), outcome="ok", message=MessageId(text)),
        NodeStarted(node=text, pid=1),
        FaultBegan(step=0, fault=text),
        FaultLanded(step=0, fault=text, targets=(text,), jobs=(JobId(text),)),
        AttemptStarted(message=MessageId(text), task=text, pid=1, source=text),
        AttemptEnded(message=MessageId(text), pid=1, state=text, source=text),
        FaultMissed(step=1, fault=text, because=text),
        NodeExited(node=text, pid=1, status=text),
        scenario=text,
        guarantees=(text,),
    )
    witness = Witness(event="FaultLanded", source="nemesis", seq=1, at=0.5, says=text)
    finding = GuaranteeResult(guarantee=text, status="violated", because=text, witnesses=(witness,))
    scenario = ScenarioResult(
        name=text,
        story=text,
        outcome="violated",
        seconds=1.0,
        covers=(text,),
        steps=(text,),
        guarantees=(finding, msgspec.structs.replace(finding, guarantee=text + "2", status="held")),
        replay=text,
    )
    value = result(scenario, subject=text, bug=text, began=text, versions={text: text}, replay=text)
    value = msgspec.structs.replace(value, not_covered=(NotCovered(name=text, because=text),))
    return value, {text: events}


class Page(HTMLParser):
    """What a browser would make of a page: the elements, the ids, the local links, and the text."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})
    SHAPES = frozenset({"rect", "circle", "path", "line"})

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self) -> set[str]:
        return {name for _, attributes in self.elements for name in attributes}

    def all(self, attribute: str) -> list[str]:
        return [
            value or "" for _, attributes in self.elements for name, value in attributes.items() if name == attribute
        ]


# --- text made visible --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_visible_text_is_one_short_printable_line(text: str) -> None:
    shown = visible(text, 50)
    assert shown.isprintable()
    assert len(shown) <= 50 * len("⟨U+10FFFF⟩") + 40
    shown.encode()


def test_visible_text_keeps_what_a_person_wrote() -> None:
    assert visible("Grüße an Zoë, 日本語 😀 it's 5 % <ok>") == "Grüße an Zoë, 日本語 😀 it's 5 % <ok>"


def test_visible_text_shows_what_it_replaces() -> None:
    assert visible("a\x00b\x1b[0m\x7f\r\nc\u202ed\td\u00a0e") == "a⟨U+0000⟩b⟨U+001B⟩[0m⟨U+007F⟩↵c⟨U+202E⟩d d e"


def test_a_long_text_is_shortened_and_says_how_long_it_was() -> None:
    assert visible("x" * 100_000, 5) == "xxxxx… (100000 characters in all)"


# --- html ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_hostile_text_stays_text_in_html(text: str) -> None:
    value, histories = hostile_result(text)
    markup = html.render(value, histories)
    markup.encode()
    page = Page(markup)
    assert not page.open
    harmless = Page(html.render(*hostile_result("x")))
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in harmless.elements}
    assert {each for _, names in page.elements for each in names} <= {
        each for _, names in harmless.elements for each in names
    }
    assert all(target.startswith("#") for target in page.all("href"))
    assert page.all("src") == []
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]", markup)
    assert len(markup) < 250_000
    if text:
        assert visible(text, 120) in page.text


def test_what_was_not_covered_is_said_first_in_words_and_then_with_its_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    left_out = NotCovered(name="poisoned-messages", because="needs feed-raw-message: there is no format")
    value = result(plain("held"), outcome="held", not_covered=(left_out,))
    assert headline(value) == ("reference-worker held every guarantee in 1 scenario. Not covered: 1 more, see below.")
    terminal.show(value, directory=None, code=ExitCode.HELD)
    assert "not covered: poisoned-messages: needs feed-raw-message: there is no format" in capsys.readouterr().out
    assert "* poisoned-messages: needs feed-raw-message: there is no format" in markdown.render(value)
    page = Page(html.render(value, {}))
    assert "poisoned-messages: needs feed-raw-message: there is no format" in page.text
    nothing = html.render(result(plain("held"), outcome="held"), {})
    assert "Not covered" not in nothing


def test_the_html_report_asks_for_nothing_and_runs_nothing() -> None:
    markup = html.render(result(judged(sent_twice())), {"killed-between-effect-and-record": sent_twice()})
    assert "default-src 'none'; style-src 'unsafe-inline'" in markup
    assert "<script" not in markup
    assert "url(" not in markup
    assert "@import" not in markup
    assert "http://" not in markup
    assert "https://" not in markup


def test_the_first_screen_says_the_outcome_the_window_the_proof_and_what_to_type() -> None:
    markup = html.render(result(judged(sent_twice())), {"killed-between-effect-and-record": sent_twice()})
    first = Page(markup[markup.index("<body>") : markup.index("</section>")] + "</section></main></body>").text
    assert "reference-worker violated 1 guarantee in 1 of 1 scenario." in first
    assert "check-then-send" in first
    assert "celery" in first
    assert "Begin here: effects-once" in first
    assert "when job-1 stands at effect-applied" in first
    assert "4 witnesses" in first
    assert REPLAY in first


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        ("held", "reference-worker held every guarantee in 1 scenario."),
        ("violated", "reference-worker violated 1 guarantee in 1 of 1 scenario."),
        ("unknown", "reference-worker could not be judged in 1 of 1 scenario. Unknown is not a pass."),
    ],
)
def test_every_report_says_the_outcome_in_one_sentence(outcome: Outcome, sentence: str) -> None:
    value = result(plain(outcome), outcome=outcome)
    assert sentence in Page(html.render(value, {})).text
    assert f"# {outcome.upper()}: {sentence}" in markdown.render(value)


def test_a_long_name_of_the_subject_does_not_push_the_outcome_out_of_the_headline() -> None:
    value = result(plain("violated"), subject="s" * 100_000)
    assert "violated 1 guarantee in 1 of 1 scenario." in Page(html.render(value, {})).text
    assert "violated 1 guarantee in 1 of 1 scenario." in markdown.render(value).splitlines()[0]


def test_a_held_report_has_nothing_to_begin_with() -> None:
    assert "Begin here" not in html.render(result(plain("held"), outcome="held"), {})


def test_a_run_without_scenarios_is_unknown_in_every_report() -> None:
    value = result(outcome="unknown")
    assert "no scenario was run" in html.render(value, {})
    assert "could not be judged: no scenario was run" in markdown.render(value)
    assert JUnitXml.fromstring(junit.render(value)).errors == 1


def test_every_cell_of_the_matrix_links_to_a_place_that_exists() -> None:
    scenarios = (judged(sent_twice()), plain("unknown", name="b"), plain("held", name="c", guarantee="bounded-wait"))
    page = Page(html.render(result(*scenarios), {}))
    ids = page.all("id")
    assert len(set(ids)) == len(ids)
    assert {target.removeprefix("#") for target in page.all("href")} <= set(ids)


def test_the_matrix_says_what_was_not_put_to_the_test() -> None:
    scenarios = (plain("held"), plain("held", name="b", guarantee="bounded-wait"))
    markup = html.render(result(*scenarios, outcome="held"), {})
    assert markup.count("not put to the test</span>") == 2
    assert markup.count('scope="col"') == 3
    assert markup.count('scope="row"') == 2


def test_two_scenarios_of_one_name_keep_places_of_their_own() -> None:
    page = Page(html.render(result(plain("held"), plain("violated")), {}))
    assert len(set(page.all("id"))) == len(page.all("id"))


def test_the_violated_scenario_is_told_first_and_the_held_one_last() -> None:
    value = result(
        plain("held", name="a-held"), plain("unknown", name="b-unknown"), plain("violated", name="c-violated")
    )
    headings = re.findall(r'<h2 id="s\d+-name">([\w-]+)', html.render(value, {}))
    assert headings == ["c-violated", "b-unknown", "a-held"]


def test_guarantees_with_one_reason_are_told_together() -> None:
    one = plain("unknown", because="the queues never drained")
    both = msgspec.structs.replace(
        one, guarantees=(*one.guarantees, msgspec.structs.replace(one.guarantees[0], guarantee="same-outcome"))
    )
    value = result(both, outcome="unknown")
    assert html.render(value, {}).count('<p class="because">') == 1
    assert "**nothing-lost, same-outcome: unknown.** the queues never drained" in markdown.render(value)


def test_witnesses_are_an_ordered_list_with_time_place_and_sentence() -> None:
    markup = html.render(result(judged(sent_twice())), {})
    rows = re.findall(r'<li value="(\d+)">(.*?)</li>', markup)
    assert [number for number, _ in rows] == ["1", "2", "3", "4"]
    assert Page(rows[0][1]).text == "10.700 sledger:0request 1 arrived: POST /v1/emails, no key"


def test_many_witnesses_are_capped_and_counted() -> None:
    witnesses = tuple(Witness(event="QueueDrained", source="harness", seq=seq, at=1.0, says="x") for seq in range(500))
    finding = GuaranteeResult(guarantee="nothing-lost", status="violated", because="so", witnesses=witnesses)
    value = result(msgspec.structs.replace(plain("violated"), guarantees=(finding,)))
    assert html.render(value, {}).count("<li value=") == html.WITNESSES_MAX
    assert "400 more witnesses are in result.json" in html.render(value, {})
    assert "480 more witnesses are in result.json" in markdown.render(value)
    assert "450 more witnesses are in result.json" in junit.render(value)


def test_a_scenario_without_a_history_says_so() -> None:
    assert "No history of this scenario was recorded" in html.render(result(plain("unknown"), outcome="unknown"), {})


def test_a_command_that_cannot_be_shown_whole_says_where_it_stands() -> None:
    value = result(msgspec.structs.replace(plain("violated"), replay="jobproof run 'a\x1b[2J'"))
    assert "This command holds what cannot be shown here" in html.render(value, {})


def test_rendering_is_pure() -> None:
    value, histories = result(judged(sent_twice())), {"killed-between-effect-and-record": sent_twice()}
    assert html.render(value, histories) == html.render(value, histories)
    assert markdown.render(value) == markdown.render(value)
    assert junit.render(value) == junit.render(value)


def test_every_text_colour_has_the_contrast_of_wcag_aa_in_both_schemes() -> None:
    css = (Path(html.__file__).parent / "templates" / "report.css.j2").read_text(encoding="utf-8")
    schemes = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]
    assert len(schemes) == 3

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def contrast(one: str, other: str) -> float:
        dark, light = sorted((luminance(one), luminance(other)))
        return (light + 0.05) / (dark + 0.05)

    for scheme in schemes:
        pairs = [
            (text, ground)
            for text in ("ink", "soft", "link", "held", "violated", "unknown")
            for ground in ("paper", "panel")
        ]
        pairs += [(text, f"{tone}-tint") for tone in ("violated", "unknown") for text in ("ink", "link", tone)]
        pairs += [("on", "violated"), ("on", "unknown"), ("bar-ink", "bar")]
        for text, ground in pairs:
            assert contrast(scheme[text], scheme[ground]) >= 4.5, (text, ground)


TEMPLATES = {"certification.html.j2", "exploration.html.j2", "report.css.j2", "report.html.j2", "timeline.svg.j2"}


def test_the_templates_stand_next_to_the_module_so_that_a_wheel_holds_them() -> None:
    folder = Path(html.__file__).parent / "templates"
    assert {path.name for path in folder.iterdir()} == TEMPLATES


def test_the_reports_are_rendered_from_a_zip_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds for a zip holds for any place that a wheel is put: templates are package data, not file paths."""
    package = Path(html.__file__).parent
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as archive:
        archive.writestr("zipped/__init__.py", "")
        for path in (package / "templates").iterdir():
            archive.write(path, f"zipped/templates/{path.name}")
    monkeypatch.syspath_prepend(str(tmp_path / "zipped.zip"))
    from jinja2 import PackageLoader

    assert set(PackageLoader("zipped").list_templates()) == TEMPLATES


# --- timeline ---------------------------------------------------------------------------------------------------------


def rings(of: ScenarioResult) -> dict[tuple[str, int, str], timeline.Ring]:
    witnesses = [witness for each in of.guarantees for witness in each.witnesses]
    return {
        (each.source, each.seq, each.event): timeline.Ring(number, "violated")
        for number, each in enumerate(witnesses, start=1)
    }


def test_the_lanes_are_harness_nemesis_broker_workers_ledger() -> None:
    drawing = timeline.draw(sent_twice(), {})
    assert [lane.name for lane in drawing.lanes] == ["harness", "nemesis", "broker", "notifications", "ledger"]


def test_a_worker_that_is_called_ledger_gets_a_lane_of_its_own() -> None:
    drawing = timeline.draw(history(NodeStarted(node="ledger", pid=1), guarantees=()), {})
    assert [lane.name for lane in drawing.lanes] == ["harness", "nemesis", "broker", "ledger", "ledger"]


def test_a_fault_is_a_band_from_its_beginning_to_its_end() -> None:
    drawing = timeline.draw(sent_twice(), {})
    began, landed, ended = (mark.x for mark in drawing.marks if mark.shape in {"diamond", "healed"})
    (band,) = drawing.bands
    assert (band.x, band.x + band.width) == (began, ended)
    assert began < landed < ended
    assert band.label == "step 1: SIGKILL the pool child"


def test_a_fault_that_was_never_healed_lasts_to_the_end() -> None:
    drawing = timeline.draw(history(FaultBegan(step=0, fault="pause"), QueueDrained(), RunEnded(), guarantees=()), {})
    (band,) = drawing.bands
    assert band.x + band.width >= max(mark.x for mark in drawing.marks)
    assert band.label.endswith("never healed")


def test_a_fault_that_could_not_be_entered_ends_where_it_missed() -> None:
    drawing = timeline.draw(
        history(
            FaultBegan(step=0, fault="pause"),
            FaultMissed(step=0, fault="pause", because="gone"),
            RunEnded(),
            guarantees=(),
        ),
        {},
    )
    (band,) = drawing.bands
    assert band.x + band.width == next(mark.x for mark in drawing.marks if mark.shape == "cross")
    assert band.label.endswith("(missed)")


def test_an_attempt_is_a_bar_and_a_killed_one_is_open() -> None:
    killed, finished = timeline.draw(sent_twice(), {}).bars
    assert (killed.open, finished.open) == (True, False)
    assert "no end was recorded" in killed.title
    assert "SUCCESS" in finished.title


def test_attempts_at_the_same_time_do_not_cover_each_other() -> None:
    other = MessageId("2")
    drawing = timeline.draw(
        history(
            AttemptStarted(message=MESSAGE, task=TASK, pid=1),
            AttemptStarted(message=other, task=TASK, pid=2),
            AttemptEnded(message=other, pid=2, state="SUCCESS"),
            AttemptEnded(message=MESSAGE, pid=1, state="SUCCESS"),
            guarantees=(),
        ),
        {},
    )
    assert len({bar.y for bar in drawing.bars}) == 2


def test_the_witnesses_of_a_violation_carry_their_number() -> None:
    scenario = judged(sent_twice())
    drawing = timeline.draw(sent_twice(), rings(scenario))
    assert [mark.ring.number for mark in drawing.marks if mark.ring] == [1, 2, 3, 4]
    markup = html.render(result(scenario), {scenario.name: sent_twice()})
    assert markup.count('class="mark frame witness violated"') == 2
    assert markup.count('class="mark square witness violated"') == 2


def test_events_stand_in_their_order_and_a_long_pause_takes_little_room() -> None:
    events = sent_twice().events
    late = History([*events[:-1], msgspec.structs.replace(events[-1], at=100_000.0)])
    drawing = timeline.draw(late, {})
    assert drawing.width < 1300
    assert "99998.1 s pass" in [tick.label for tick in drawing.ticks]
    at = [float(mark.title.split(" ")[0]) for mark in sorted(drawing.marks, key=lambda mark: mark.x)]
    assert at == sorted(at)


def test_a_long_history_is_cut_around_its_witnesses_and_says_so() -> None:
    events = [Queued(queue="q", message=MessageId(f"m{n}"), delivery_tag="t", body_digest="d") for n in range(5000)]
    long = history(*events, QueueDrained(), guarantees=())
    witness = ("broker", 4321, "Queued")
    drawing = timeline.draw(long, {witness: timeline.Ring(1, "violated")})
    assert drawing.drawn == timeline.EVENTS_MAX
    assert drawing.left_out == 5002 - timeline.EVENTS_MAX
    assert [mark.ring.number for mark in drawing.marks if mark.ring] == [1]
    assert "<strong>4602 of 5002 events are not drawn</strong>" in timeline.render(
        long, {witness: timeline.Ring(1, "violated")}
    )


def test_an_attempt_whose_end_was_left_out_is_not_drawn_as_killed() -> None:
    noise = [Queued(queue="q", message=MessageId(f"m{n}"), delivery_tag="t", body_digest="d") for n in range(1000)]
    drawing = timeline.draw(
        history(
            AttemptStarted(message=MESSAGE, task=TASK, pid=1),
            *noise,
            AttemptEnded(message=MESSAGE, pid=1, state="SUCCESS"),
            guarantees=(),
        ),
        {},
    )
    assert [bar.open for bar in drawing.bars] == [False]


def test_more_workers_than_there_is_room_for_are_left_out_and_counted() -> None:
    drawing = timeline.draw(history(*(NodeStarted(node=f"w{n}", pid=n) for n in range(20)), guarantees=()), {})
    assert len(drawing.lanes) == 4 + timeline.WORKERS_MAX
    assert drawing.left_out == 20 - timeline.WORKERS_MAX


def test_a_history_of_nothing_but_its_beginning_is_drawn() -> None:
    assert timeline.draw(history(guarantees=()), {}).drawn == 1


# --- markdown ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_hostile_text_stays_text_in_markdown(text: str) -> None:
    value, _ = hostile_result(text)
    source = markdown.render(value)
    rendered = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(source)
    page = Page(re.sub(r"(</?)(h[1-6])", r"\1\2", rendered))
    tags = [tag for tag, _ in page.elements]
    assert set(tags) <= {
        "h1",
        "h2",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "ul",
        "ol",
        "li",
        "strong",
        "em",
        "pre",
        "code",
    }
    assert tags.count("h1") == 1
    assert tags.count("h2") == 3  # the scenario, what was not covered, the command
    assert tags.count("tr") == 2
    assert tags.count("th") == tags.count("td") == 3
    assert tags.count("code") == tags.count("pre") == 2
    assert "evil.example" not in source or "://evil" not in source.split("```")[0]
    source.encode()
    assert len(source) < 60_000
    if text.strip():
        assert visible(text, 20).split("…")[0].split(" ")[0] in page.text


def test_nobody_is_called_by_a_hostile_name() -> None:
    source = markdown.render(result(plain("violated", because="ask @maintainer")))
    assert "@maintainer" not in source


def test_the_markdown_report_ends_each_violation_with_the_command_that_repeats_it() -> None:
    source = markdown.render(result(judged(sent_twice())))
    assert f"```sh\n{REPLAY}\n```" in source
    assert "1. 0.700 s · ledger:0 · request 1 arrived: POST /v1/emails, no key" in source


def test_a_command_with_backticks_cannot_end_its_code_block() -> None:
    source = markdown.render(result(msgspec.structs.replace(plain("violated"), replay="run '````'")))
    assert "`````sh\nrun '````'\n`````" in source


# --- junit ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_hostile_text_stays_text_in_junit(text: str) -> None:
    value, _ = hostile_result(text)
    source = junit.render(value)
    root = ET.fromstring(source.encode())  # noqa: S314 - our own XML
    assert {element.tag for element in root.iter()} == {
        "testsuites",
        "testsuite",
        "testcase",
        "failure",
        "skipped",
        "properties",
        "property",
    }
    assert len(source) < 60_000


def test_a_scenario_is_a_suite_and_a_guarantee_a_case() -> None:
    report = JUnitXml.fromstring(junit.render(result(judged(sent_twice()), plain("held", name="b"))))
    suites = list(report)
    assert [suite.name for suite in suites] == ["killed-between-effect-and-record", "b"]
    assert [case.name for case in suites[0]] == ["nothing-lost", "effects-once", "exercised"]
    assert (report.tests, report.failures, report.errors, report.skipped) == (4, 1, 0, 0)
    assert suites[0].time == 1.9
    assert report.time == 2.0
    assert {prop.name: prop.value for prop in suites[0].properties()} == {
        "seed": "7",
        "bug": "check-then-send",
        "version of celery": "5.7.0",
        "version of jobproof": "0.1.0",
        "covers": "F01, W8",
        "replay": REPLAY,
    }


def test_a_failure_says_why_and_ends_with_the_command_that_repeats_it() -> None:
    report = JUnitXml.fromstring(junit.render(result(judged(sent_twice()))))
    (failure,) = [found for suite in report for case in suite for found in case.result]
    assert failure.type == "violated"
    assert failure.message.startswith("POST /v1/emails of job-1 was applied 2 times")
    assert failure.message.endswith(REPLAY)
    assert failure.text.rstrip().endswith(REPLAY)
    assert "0.800 s  ledger:1  request 1 was APPLIED" in failure.text


def test_unknown_is_an_error_and_never_a_pass_or_a_skip() -> None:
    report = JUnitXml.fromstring(junit.render(result(plain("unknown"), outcome="unknown")))
    (case,) = [case for suite in report for case in suite]
    assert case.is_error
    assert case.result[0].type == "unknown"
    assert case.result[0].message.endswith("jobproof run scenario-1 --seed 7")
    assert report.skipped == 0


def test_a_scenario_of_which_nothing_was_judged_does_not_pass() -> None:
    silent = msgspec.structs.replace(plain("unknown"), guarantees=())
    assert JUnitXml.fromstring(junit.render(result(silent, outcome="unknown"))).errors == 1


def test_two_suites_of_one_name_are_not_merged() -> None:
    report = JUnitXml.fromstring(junit.render(result(plain("held"), plain("held"), outcome="held")))
    assert len(list(report)) == 2


def test_what_was_not_covered_is_skipped_with_its_reason_in_junit() -> None:
    left_out = (NotCovered(name="broker-slow", because="needs slow-broker: <this> runtime cannot do that"),)
    report = JUnitXml.fromstring(junit.render(result(plain("held"), outcome="held", not_covered=left_out)))
    assert (report.tests, report.skipped, report.failures, report.errors) == (2, 1, 0, 0)
    (case,) = [case for suite in report for case in suite if case.result and case.name == "broker-slow"]
    assert "<this> runtime" in case.result[0].message
