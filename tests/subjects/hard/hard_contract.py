import os

from harness.contract import Contract, Effect, EffectivelyOnce, Folder, Header, JsonField, Task, Worker

_NAMES = ("forks", "endless", "silent", "fickle", "encrypted", "twice", "thrice", "publishes")
_RESULTS = "{broker_url}" if os.environ.get("HARD_KEEPS_RESULTS") else ""

CONTRACT = Contract(
    name="hard",
    app="hard:app",
    environment={
        "HARD_BROKER": "{broker_url}",
        "HARD_URL": "{ledger_url}",
        "HARD_RESULTS": _RESULTS,
        "HARD_SHELF": "{directory}/shelf",
    },
    files=("{directory}/shelf",),
    folders=(Folder(path="{directory}/shelf"),),
    workers=(Worker(name="w"),),
    honours_key=Header("Idempotency-Key"),
    tasks=tuple(
        Task(
            name=f"hard.{name}",
            identity="{number}",
            inputs=({"number": number},),
            effects=(Effect(request="POST /told*", belongs_to=JsonField("/number")),),
            promise=EffectivelyOnce(key=Header("Idempotency-Key")),
            attempts_max=8,
            wait_seconds_max=5.0,
        )
        for number, name in enumerate(_NAMES, start=1)
    ),
)
