"""The contract that the handwritten histories are judged by, and the head that every one of them has."""

import json

from harness.checkers import GUARANTEES
from harness.contract import (
    AtLeastOnce,
    AtMostOnce,
    Contract,
    DeadLetterTable,
    Effect,
    EffectivelyOnce,
    Header,
    JsonField,
    Promise,
    SqlTable,
    Task,
    Worker,
)
from harness.events import FORMAT_VERSION, EffectRequested, Event, RunBegan
from harness.history import History

KEY = Header("Idempotency-Key")


def task(name: str, request: str, promise: Promise) -> Task:
    return Task(
        name=name,
        identity="{id}",
        inputs=({"id": f"{name}-a"}, {"id": f"{name}-b"}),
        effects=(Effect(request=request, belongs_to=JsonField("/id")),),
        promise=promise,
        attempts_max=3,
        wait_seconds_max=20.0,
    )


CONTRACT = Contract(
    name="handwritten",
    app="nobody:app",
    workers=(Worker(name="only"),),
    tasks=(
        task("mail", "POST /mails", EffectivelyOnce(key=KEY)),
        task("page", "POST /pages", AtLeastOnce(key=KEY)),
        task("ping", "POST /pings", AtLeastOnce()),
        task("call", "POST /calls", AtMostOnce()),
    ),
    honours_key=KEY,
    dead_letters=DeadLetterTable(url="sqlite:///x", table="letters", message="message", reason="reason", body="body"),
    state=(SqlTable(url="sqlite:///x", table="invoices", columns=("id", "state")),),
)


def history(*events: Event, contract: Contract = CONTRACT, steps: tuple[str, ...] = ()) -> History:
    began = RunBegan(
        format_version=FORMAT_VERSION,
        scenario="by-hand",
        guarantees=GUARANTEES,
        contract=contract,
        plan_digest="",
        seed=1,
        steps=steps,
    )
    return History((began, *events))


def requested(number: int, label: str, identity: str, *, key: str = "", content: str = "usual") -> EffectRequested:
    """A request as the ledger saw it; `content` stands for the fingerprint of its body."""
    headers = {"Idempotency-Key": key} if key else {}
    body = json.dumps({"id": identity})
    return EffectRequested(
        request=number, label=label, key=key, headers=headers, body=body, fingerprint=content, connection="127.0.0.1:9"
    )
