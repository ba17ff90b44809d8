"""The page of a certification, in a real browser."""

from collections.abc import Callable

import pytest

from harness.report.certification import html
from tests.browser.conftest import Visit
from tests.unit.test_certification import hostile

Open = Callable[..., Visit]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_complains_of_nothing_and_requests_nothing_but_itself(visit: Open, scheme: str) -> None:
    opened = visit(html(hostile()), color_scheme=scheme)
    opened.page.wait_for_load_state("networkidle")
    assert opened.complaints == []
    assert opened.requests == [opened.page.url]


@pytest.mark.parametrize("width", [390, 1280])
def test_a_finding_says_line_window_and_fix_beside_their_names_and_nothing_is_cut_off(visit: Open, width: int) -> None:
    page = visit(html(hostile()), width=width).page
    article = page.locator("article")
    for term in ("line", "what", "window", "fix", "repeat"):
        name = article.locator("dt", has_text=term)
        said = name.locator("xpath=following-sibling::dd[1]")
        assert said.bounding_box()["x"] > name.bounding_box()["x"]
        assert said.bounding_box()["x"] + said.bounding_box()["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_what_was_tested_and_what_was_not_is_told_in_words(visit: Open) -> None:
    page = visit(html(hostile())).page
    covered = page.locator("section[aria-labelledby=covered]").inner_text()
    tested, not_covered = covered.split("Not covered")
    assert "a message is delivered again while its first delivery is still being worked on" in tested
    assert "a pool child dies and the main process lives" in not_covered
