"""The application's settings, as an audit would ask for them."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from reference_worker.settings import Settings
from tests.conftest import ROOT

SHOW = """
import json
from reference_worker import jobs
from reference_worker.app import app
names = [name for name in app.tasks if name.startswith("reference_worker.")]
conf = {key: value for key, value in dict(app.conf).items() if key != "task_queues"}
print(json.dumps({
    "conf": conf, "queues": sorted(queue.name for queue in app.conf.task_queues),
    "tasks": {name: {"soft": app.tasks[name].soft_time_limit or app.conf.task_soft_time_limit,
                     "hard": app.tasks[name].time_limit or app.conf.task_time_limit,
                     "retries": app.tasks[name].max_retries, "acks_late": app.tasks[name].acks_late,
                     "rejects": app.tasks[name].reject_on_worker_lost,
                     "queue": app.amqp.router.route({}, name)["queue"].name} for name in names},
}, default=str))
"""


@pytest.fixture(scope="module")
def shown() -> Any:
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("REFERENCE_WORKER_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_task_is_acknowledged_late_has_both_limits_bounded_retries_and_a_queue_by_its_kind(shown: Any) -> None:
    queues = {name.removeprefix("reference_worker."): task.pop("queue") for name, task in shown["tasks"].items()}
    assert queues == {
        "send_verification_email": "notifications",
        "send_invoice_email": "notifications",
        "charge_invoice": "billing",
        "sync_customer": "sync",
        "generate_export": "exports",
    }
    for task in shown["tasks"].values():
        assert task["acks_late"]
        assert task["rejects"]
        assert 0 < task["soft"] < task["hard"]
        assert 0 < task["retries"] <= 10
    assert shown["queues"] == sorted(set(queues.values()))


def test_no_message_is_handed_out_again_while_it_is_worked_on_or_waits(shown: Any) -> None:
    visibility = shown["conf"]["broker_transport_options"]["visibility_timeout"]
    settings = Settings()
    longest_backoff = settings.backoff_seconds * 2**4 * 1.25
    assert visibility > max(task["hard"] for task in shown["tasks"].values()) + longest_backoff
    assert visibility > settings.postpone_seconds
    assert settings.claim_seconds > settings.export_hard_limit_seconds
    assert settings.client_timeout_seconds < settings.soft_limit_seconds
    assert settings.upload_timeout_seconds < settings.export_soft_limit_seconds


def test_only_data_is_accepted_and_one_message_a_slot_is_fetched(shown: Any) -> None:
    conf = shown["conf"]
    assert conf["accept_content"] == ["json"]
    assert conf["task_serializer"] == "json"
    assert conf["worker_prefetch_multiplier"] == 1
    assert conf["task_ignore_result"]
    assert conf["broker_connection_max_retries"] is None
    assert not conf["task_create_missing_queues"]
