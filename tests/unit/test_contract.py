from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.codec import encode
from harness.contract import (
    PLACEHOLDERS,
    AtMostOnce,
    Contract,
    ContractError,
    DeadLetterTable,
    Effect,
    Header,
    JsonField,
    PlantedBug,
    SqlTable,
    Task,
    Worker,
    fill,
)


def effect(**changes: Any) -> Effect:
    return Effect(**{"request": "POST /mails", "belongs_to": JsonField("/id"), **changes})


def task(**changes: Any) -> Task:
    fields = {
        "name": "mail",
        "identity": "{id}",
        "inputs": ({"id": 1}, {"id": 2}),
        "effects": (effect(),),
        "promise": AtMostOnce(),
        "attempts_max": 1,
        "wait_seconds_max": 1.0,
    }
    return Task(**{**fields, **changes})


def table(**changes: Any) -> SqlTable:
    return SqlTable(**{"url": "sqlite:///{directory}/x.db", "table": "t", "columns": ("a",), **changes})


def letters(**changes: Any) -> DeadLetterTable:
    fields = {"url": "sqlite:///{directory}/x.db", "table": "t", "message": "m", "reason": "r", "body": "b"}
    return DeadLetterTable(**{**fields, **changes})


def bug(**changes: Any) -> PlantedBug:
    return PlantedBug(**{"name": "b", "story": "", "environment": {}, "scenarios": (), "guarantee": "g", **changes})


def contract(**changes: Any) -> Contract:
    return Contract(**{"name": "c", "app": "a:a", "workers": (Worker(name="w"),), "tasks": (task(),), **changes})


def test_a_contract_that_can_be_meant_is_taken() -> None:
    whole = contract(state=(table(),), dead_letters=letters(), planted_bugs=(bug(),), environment={"A": "{broker_url}"})
    assert whole.task("mail") == task()
    assert whole.task("unheard of") is None


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a pointer without its slash": (lambda: JsonField("id"), "starts with '/'"),
    "a request without a path": (lambda: effect(request="POST"), "expected a method and a path"),
    "a request with a lower-case method": (lambda: effect(request="post /mails"), "expected a method and a path"),
    "a request with a whole URL": (lambda: effect(request="POST http://x/"), "expected a method and a path"),
    "a task without inputs": (lambda: task(inputs=()), "inputs is empty"),
    "a task without effects": (lambda: task(effects=()), "effects is empty"),
    "effects without what tells whose they are": (lambda: task(identity=""), "identity is empty"),
    "a database of no kind that can be read": (lambda: contract(databases=("mysql://x",)), "expected 'sqlite:///PATH'"),
    "a database with an unknown placeholder": (
        lambda: contract(databases=("sqlite:///{folder}/x",)),
        "unknown placeholder",
    ),
    "no attempt at all": (lambda: task(attempts_max=0), "attempts_max is 0"),
    "no time at all": (lambda: task(wait_seconds_max=0), "wait_seconds_max is 0"),
    "a time that is no number": (lambda: task(wait_seconds_max=float("nan")), "wait_seconds_max is nan"),
    "two inputs with one identity": (lambda: task(inputs=({"id": 1}, {"id": "1"})), "same identity"),
    "an identity of an argument that is not there": (
        lambda: task(identity="{invoice}"),
        "cannot be filled",
    ),
    "an identity by position": (lambda: task(identity="{}"), "cannot be filled"),
    "an identity that is no template": (lambda: task(identity="{id"), "cannot be filled"),
    "an identity that looks into a number": (lambda: task(identity="{id[0]}"), "cannot be filled"),
    "a worker with a path for a name": (lambda: Worker(name="../w"), "names files"),
    "a worker without a name": (lambda: Worker(name=""), "names files"),
    "a worker without a pool": (lambda: Worker(name="w", concurrency=0), "concurrency is 0"),
    "a table of another database": (lambda: table(url="mysql://x"), "sqlite:///PATH"),
    "a table whose name is SQL": (lambda: table(table="t; DROP TABLE t"), "plain SQL name"),
    "a column whose name is SQL": (lambda: table(columns=("a", "b AS c")), "plain SQL name"),
    "a contract without tasks": (lambda: contract(tasks=()), "tasks is empty"),
    "a task named twice": (lambda: contract(tasks=(task(), task())), "task is named twice"),
    "a worker named twice": (
        lambda: contract(workers=(Worker(name="w"), Worker(name="w"))),
        "worker or sidecar is named twice",
    ),
    "a bug named twice": (lambda: contract(planted_bugs=(bug(), bug())), "planted bug is named twice"),
    "an unknown placeholder": (
        lambda: contract(environment={"A": "{brocker_url}"}),
        r"environment\['A'\].*brocker_url",
    ),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_meant_is_refused_where_it_is_written(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(ContractError, match=words):
        make()


def test_a_bound_that_json_cannot_hold_is_refused() -> None:
    # Infinity is stored as null, so the history of such a run could never be read back.
    with pytest.raises(ContractError, match="wait_seconds_max"):
        task(wait_seconds_max=float("inf"))


def test_a_dead_letter_table_is_looked_at_when_it_is_written_and_not_at_the_end_of_a_run() -> None:
    with pytest.raises(ContractError):
        letters(table="t; DROP TABLE t")


@pytest.mark.parametrize(
    "make",
    [
        lambda: contract(state=(table(url="sqlite:///{dirctory}/x.db"),)),
        lambda: contract(dead_letters=letters(url="sqlite:///{dirctory}/x.db")),
        lambda: contract(planted_bugs=(bug(environment={"A": "{brocker_url}"}),)),
    ],
    ids=["table", "dead letters", "planted bug"],
)
def test_an_unknown_placeholder_is_refused_wherever_one_may_stand(make: Callable[[], Contract]) -> None:
    with pytest.raises(ContractError, match="unknown placeholder"):
        make()


def test_a_header_that_the_record_masks_cannot_be_what_something_is_recognised_by() -> None:
    with pytest.raises(ContractError, match="secret"):
        Header("X-Api-Key")


def test_a_contract_that_is_read_back_is_judged_as_strictly_as_one_that_is_written() -> None:
    data = encode(contract()).replace(b'"POST /mails"', b'"POST"')
    with pytest.raises(msgspec.ValidationError, match="expected a method and a path"):
        msgspec.json.decode(data, type=Contract)


def test_a_word_that_no_contract_knows_is_refused() -> None:
    data = encode(contract()).replace(b'"app"', b'"ap"')
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(data, type=Contract)


@pytest.mark.parametrize(
    ("rule", "label", "matches"),
    [
        ("POST /mails", "POST /mails", True),
        ("POST /mails", "POST /mails/1", False),
        ("POST /mails", "PUT /mails", False),
        ("POST /mails*", "POST /mails", True),
        ("POST /mails*", "POST /mails/1?now", True),
        ("POST /mails*", "POST /mail", False),
    ],
)
def test_a_request_is_matched_by_method_and_path_and_a_star_stands_for_any_rest(
    rule: str, label: str, matches: bool
) -> None:
    assert effect(request=rule).matches(label) is matches


def test_placeholders_are_filled_and_doubled_braces_are_braces() -> None:
    values = {"broker_url": "redis://x", "ledger_url": "http://y", "directory": "/z"}
    assert fill("{broker_url}|{directory}|{{}}", values, where="here") == "redis://x|/z|{}"


@given(st.text(st.characters(exclude_characters="{}", codec="utf-8"), max_size=20))
def test_text_without_braces_is_left_as_it_is(text: str) -> None:
    assert fill(text, dict.fromkeys(PLACEHOLDERS, "?"), where="here") == text


@pytest.mark.parametrize("text", ["{", "}", "{broker_url", "{}", "{0}", "{broker_url.x}", "{BROKER_URL}"])
def test_what_is_no_template_of_a_lane_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(ContractError, match="here"):
        fill(text, dict.fromkeys(PLACEHOLDERS, ""), where="here")


def test_an_extractor_keeps_its_kind_when_it_is_stored() -> None:
    again = msgspec.json.decode(encode(task(effects=(effect(belongs_to=Header("X")),))), type=Task)
    assert again.effects[0].belongs_to == Header("X")


def test_a_contract_of_an_application_a_task_and_its_inputs_is_enough_and_not_yet_told() -> None:
    small = Contract(app="shop.celery:app", tasks=(Task(name="t", inputs=({"id": 1}, {"id": 2})),))
    assert small.name == "shop"
    assert not small.is_told
    assert contract().is_told
    assert not contract(databases=("sqlite:///{directory}/x.db",)).is_told
