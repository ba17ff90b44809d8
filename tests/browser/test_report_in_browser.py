from collections.abc import Callable

import pytest

from harness.report import html
from harness.report.visible import visible
from tests.browser.conftest import Visit
from tests.unit.test_reports import HOSTILE, hostile_result, judged, plain, result, sent_twice

VIOLATED = "killed-between-effect-and-record"
ATTACKS = tuple(text for text in HOSTILE if text)
Open = Callable[..., Visit]


def report() -> str:
    scenarios = (plain("held", name="fault-free"), plain("unknown", name="reply-lost"), judged(sent_twice()))
    return html.render(result(*scenarios), {VIOLATED: sent_twice(), "fault-free": sent_twice("fault-free")})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_complains_of_nothing_and_requests_nothing_but_itself(visit: Open, scheme: str) -> None:
    opened = visit(report(), color_scheme=scheme)
    opened.page.wait_for_load_state("networkidle")
    assert opened.complaints == []
    assert opened.requests == [opened.page.url]


def test_the_matrix_is_on_the_first_screen_and_says_each_outcome_in_a_word(visit: Open) -> None:
    page = visit(report()).page
    table = page.locator("table.matrix")
    assert table.is_visible()
    assert table.bounding_box()["y"] < 900
    cells = [[cell.strip() for cell in row.locator("th, td").all_inner_texts()] for row in table.locator("tr").all()]
    untested = "\N{EN DASH}not put to the test"
    assert cells[0] == ["scenario", "nothing-lost", "effects-once", "exercised"]
    assert [[cell.replace("\n", "") for cell in row] for row in cells[1:]] == [
        ["fault-free", "held", untested, untested],
        ["reply-lost", "unknown", untested, untested],
        [VIOLATED, "held", "violated", "held"],
    ]


def test_a_violated_cell_leads_to_its_guarantee_with_witnesses_and_command(visit: Open) -> None:
    page = visit(report()).page
    page.locator("table.matrix td.violated a").click()
    anchor = page.url.split("#")[1]
    heading = page.locator(f"#{anchor}")
    assert heading.inner_text().split() == ["effects-once", "violated"]
    box = heading.bounding_box()
    assert 0 <= box["y"] < 900
    section = page.locator("article", has=heading)
    assert section.locator("ol.witnesses li").count() == 4
    assert section.locator("pre.command").inner_text().strip().endswith("--bug check-then-send --seed 7")
    assert section.locator("figure.timeline svg[role=img]").is_visible()


def test_every_link_leads_to_something_that_is_shown(visit: Open) -> None:
    page = visit(report()).page
    targets = {link.get_attribute("href") for link in page.locator("a").all()}
    assert all(page.locator(target).count() == 1 for target in targets)


def test_the_timeline_of_a_held_scenario_opens_without_a_script(visit: Open) -> None:
    page = visit(report(), java_script_enabled=False).page
    details = page.locator("details")
    assert not details.locator("figure").is_visible()
    details.locator("summary").click()
    assert details.locator("figure").is_visible()


@pytest.mark.parametrize("text", ATTACKS, ids=lambda text: ascii(text)[:20])
def test_a_hostile_name_is_shown_as_text_and_runs_nothing(visit: Open, text: str) -> None:
    opened = visit(html.render(*hostile_result(text)))
    page = opened.page
    page.wait_for_load_state("networkidle")
    page.mouse.move(200, 200)
    assert opened.complaints == []
    assert opened.requests == [page.url]
    assert page.locator("script, img, iframe, object, embed, link, form").count() == 0
    shown = page.locator("table.matrix tbody th").text_content()
    assert shown.strip() == visible(text, 120).strip()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("text", ["", "x" * 100_000, "W" * 119, "a-b " * 500], ids=["plain", "huge", "wide", "words"])
def test_the_page_never_scrolls_sideways(visit: Open, width: int, text: str) -> None:
    page = visit(html.render(*hostile_result(text)) if text else report(), width=width).page
    for details in page.locator("summary").all():
        details.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # What is wider scrolls in a box of its own, which the keyboard reaches.
    assert all(box.get_attribute("tabindex") == "0" for box in page.locator(".scroll").all())


def test_on_paper_the_report_is_dark_on_light_and_not_cut_off(visit: Open) -> None:
    page = visit(report(), color_scheme="dark").page
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.evaluate("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
    assert len(page.pdf()) > 10_000
