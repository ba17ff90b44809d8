"""What a contract leaves out is learnt from fault-free runs, and what cannot be learnt is said."""

import json
from typing import Any

import pytest

from harness.audit.facts import Facts, TaskFacts
from harness.contract import UNTOLD, Contract, FormField, JsonField, Learnt, RequestPath, Task
from harness.events import EffectRequested, JobId
from harness.history import content_of, extract
from harness.learning.effects import Known, Requests, learn_effects
from harness.learning.settings import from_settings
from harness.learning.tables import learn_tables
from harness.scenario import workload_of
from harness.services.tables import WholeTable
from harness.system import PlannedJob, SubjectError


def job(number: int, task: str = "mail", **arguments: Any) -> PlannedJob:
    return PlannedJob(job=JobId(f"job-{number}"), task=task, arguments=arguments, identity=f"{task} {number}")


JOBS = (job(1, order=71), job(2, order=72))


def sent(label: str, body: Any = None, *, form: str = "", **headers: str) -> EffectRequested:
    text = form or json.dumps(body)
    kind = "application/x-www-form-urlencoded" if form else "application/json"
    return EffectRequested(
        request=0,
        label=label,
        key="",
        headers={"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}},
        body=text,
        fingerprint=f"{label} {text}",
        connection="",
    )


def runs(first: EffectRequested, second: EffectRequested) -> Requests:
    return {JobId("job-1"): (first,), JobId("job-2"): (second,)}


def learnt_from(one: Requests, two: Requests, jobs: tuple[PlannedJob, ...] = JOBS) -> Known:
    return learn_effects(jobs, one, two)


def test_a_field_that_holds_an_argument_tells_the_jobs_apart() -> None:
    one = runs(
        sent("POST /mails", {"kind": "receipt", "order": 71}), sent("POST /mails", {"kind": "receipt", "order": 72})
    )
    known = learnt_from(one, one)
    (effect,) = known.by_task["mail"]
    assert effect.belongs_to == Learnt(JsonField("/order"), {"71": "mail 1", "72": "mail 2"})
    assert effect.volatile == ()
    assert known.doubts == ()


def test_a_request_that_one_job_alone_sends_is_known_by_its_path() -> None:
    one = runs(sent("MAIL /a@example.com"), sent("MAIL /b@example.com"))
    effects = learnt_from(one, one).by_task["mail"]
    assert [effect.request for effect in effects] == ["MAIL /a@example.com", "MAIL /b@example.com"]
    assert effects[0].belongs_to == Learnt(RequestPath(), {"/a@example.com": "mail 1"})


def test_a_field_of_a_form_tells_the_jobs_apart() -> None:
    one = runs(sent("POST /sms", form="to=1&order=71"), sent("POST /sms", form="to=1&order=72"))
    (effect,) = learnt_from(one, one).by_task["mail"]
    assert isinstance(effect.belongs_to, Learnt)
    assert effect.belongs_to.of == FormField("order")


def test_a_key_that_is_another_one_each_time_tells_nothing_apart() -> None:
    one = runs(sent("POST /x", {}, Idempotency_Key="k1"), sent("POST /x", {}, Idempotency_Key="k2"))
    two = runs(sent("POST /x", {}, Idempotency_Key="k3"), sent("POST /x", {}, Idempotency_Key="k4"))
    known = learnt_from(one, two)
    assert known.by_task["mail"] == ()
    assert "POST /x cannot be told apart" in known.doubts[0]


def test_jobs_that_send_the_same_are_a_doubt_and_no_guess() -> None:
    one = runs(sent("POST /ping", {"ok": 1}), sent("POST /ping", {"ok": 1}))
    assert learnt_from(one, one).by_task["mail"] == ()


def test_what_differs_from_run_to_run_is_volatile_and_the_rest_is_compared() -> None:
    first, again = ({"order": 71, "at": moment, "lines": [{"id": moment}]} for moment in ("9:00", "9:01"))
    other = sent("POST /mails", {"order": 72, "at": "9:00", "lines": [{"id": "9:00"}]})
    (effect,) = learnt_from(runs(sent("POST /mails", first), other), runs(sent("POST /mails", again), other)).by_task[
        "mail"
    ]
    assert set(effect.volatile) == {"/at", "/lines/0/id"}
    assert content_of(effect, sent("POST /mails", first)) == content_of(effect, sent("POST /mails", again))
    assert content_of(effect, sent("POST /mails", first)) != content_of(
        effect, sent("POST /mails", {**first, "order": 1})
    )


def test_a_body_that_is_no_json_and_differs_is_let_go_as_a_whole() -> None:
    one = runs(sent("MAIL /a@x", form="sent at 9"), sent("MAIL /b@x", form="hello"))
    two = runs(sent("MAIL /a@x", form="sent at 10"), sent("MAIL /b@x", form="hello"))
    effects = learnt_from(one, two).by_task["mail"]
    assert effects[0].volatile == ("",)
    assert content_of(effects[0], one[JobId("job-1")][0]) == content_of(effects[0], two[JobId("job-1")][0])


def test_a_path_with_a_made_up_id_is_known_by_its_beginning() -> None:
    one = runs(sent("PUT /things/aa", {"order": 71}), sent("PUT /things/bb", {"order": 72}))
    two = runs(sent("PUT /things/cc", {"order": 71}), sent("PUT /things/dd", {"order": 72}))
    (effect,) = learnt_from(one, two).by_task["mail"]
    assert effect.request == "PUT /things/*"
    assert extract(effect.belongs_to, sent("PUT /things/zz", {"order": 72})) == "mail 2"


def test_what_came_in_one_run_only_is_a_doubt() -> None:
    one = runs(sent("POST /a", {"order": 71}), sent("POST /a", {"order": 72}))
    two: Requests = {JobId("job-1"): (), JobId("job-2"): one[JobId("job-2")]}
    known = learnt_from(one, two)
    assert "POST /a of job-1 came in one fault-free run and not in the other" in known.doubts


def test_what_another_tasks_job_sends_is_not_taken_for_ones_own() -> None:
    jobs = (job(1, order=71), job(2, "page", order=72))
    one = runs(sent("POST /a", {"order": 71}), sent("POST /a", {"order": 72}))
    known = learnt_from(one, one, jobs)
    assert known.by_task["mail"][0].belongs_to == Learnt(JsonField("/order"), {"71": "mail 1"})
    assert known.by_task["page"][0].belongs_to == Learnt(JsonField("/order"), {"72": "page 2"})


# --- tables ---


def table(*rows: tuple[Any, ...]) -> dict[tuple[str, str], WholeTable]:
    return {("sqlite:///x", "t"): WholeTable(("id", "name", "at"), frozenset({"id"}), rows)}


@pytest.mark.parametrize(
    ("one", "two", "columns"),
    [
        (table((1, "a", 0), (2, "b", 0)), table((1, "a", 0), (2, "b", 0)), ("id", "name", "at")),
        (table((1, "a", 5), (2, "b", 6)), table((1, "a", 7), (2, "b", 8)), ("id", "name")),
        # The second run goes the other way round: who came first has the first number.
        (table((1, "a", 0), (2, "b", 0)), table((1, "b", 0), (2, "a", 0)), ("name", "at")),
    ],
)
def test_columns_that_do_not_end_alike_are_not_compared(one: Any, two: Any, columns: tuple[str, ...]) -> None:
    (found,), _ = learn_tables(one, two)
    assert found.columns == columns


def test_a_table_that_never_ends_alike_is_a_doubt() -> None:
    tables, doubts = learn_tables(table((1, "a", 5)), table((2, "b", 6), (3, "c", 7)))
    assert tables == ()
    assert "table t did not end alike" in doubts[0]


# --- settings ---


def facts(**options: Any) -> Facts:
    task = TaskFacts(
        name="shop.mail",
        module="shop",
        function="mail",
        file="shop.py",
        line=1,
        own=True,
        options=options,
        queue="mails",
        queue_error="",
    )
    return Facts(
        module="shop",
        versions={},
        transport="redis",
        visibility_default=None,
        transport_options={},
        result_backend="",
        settings={},
        queues=None,
        failure_receivers=(),
        tasks=(task,),
        schedule=(),
        modules=(),
    )


SMALL = Contract(app="shop:app", tasks=(Task(name="shop.mail", inputs=({"order": 1}, {"order": 2})),))


def test_bounds_queues_and_a_worker_come_from_the_settings() -> None:
    told = from_settings(SMALL, facts(max_retries=3, time_limit=5))
    (task,) = told.tasks
    assert (task.attempts_max, task.queue, task.hard_limit_seconds) == (6, "mails", 5.0)
    assert told.workers[0].queues == ("mails",)
    assert "attempts_max" in task.learnt


def test_retries_without_a_bound_give_none() -> None:
    (task,) = from_settings(SMALL, facts(max_retries=None)).tasks
    assert task.attempts_max == UNTOLD


def test_a_limit_that_no_scenario_can_wait_for_is_left_out() -> None:
    (task,) = from_settings(SMALL, facts(max_retries=0, time_limit=600)).tasks
    assert task.hard_limit_seconds == 0.0


def test_what_is_told_stays_as_it_is() -> None:
    told = Task(name="shop.mail", inputs=({"order": 1},), attempts_max=2, queue="own", hard_limit_seconds=9)
    (task,) = from_settings(Contract(app="shop:app", tasks=(told,)), facts(max_retries=3, time_limit=5)).tasks
    assert (task.attempts_max, task.queue, task.hard_limit_seconds) == (2, "own", 9.0)


def test_a_task_that_the_application_lacks_is_named() -> None:
    wrong = Contract(app="shop:app", tasks=(Task(name="shop.mial", inputs=({},)),))
    with pytest.raises(SubjectError, match=r"no task 'shop.mial'; did you mean 'shop.mail'\?"):
        from_settings(wrong, facts())


def test_without_an_identity_a_job_is_known_by_all_of_its_arguments() -> None:
    assert [job.identity for job in workload_of(SMALL)] == ['{"order": 1}', '{"order": 2}']
