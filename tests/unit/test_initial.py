"""What `jobproof init` writes is Python that says what was found, whatever that is."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.certify.initial import literal


@given(st.text())
def test_any_text_becomes_a_literal_of_itself(text: str) -> None:
    assert ast.literal_eval(literal(text)) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [("shop:app", '"shop:app"'), ("it's", '"it\'s"'), ('({"id": ...}, ...)', "'({\"id\": ...}, ...)'")],
)
def test_a_literal_is_in_double_quotes_where_it_holds_none(text: str, written: str) -> None:
    assert literal(text) == written
