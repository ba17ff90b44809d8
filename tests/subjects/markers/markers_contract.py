from harness.contract import AtMostOnce, Contract, Effect, JsonField, Task, Worker

CONTRACT = Contract(
    name="markers",
    app="markers:app",
    environment={
        "MARKERS_BROKER": "{broker_url}",
        "MARKERS_URL": "{ledger_url}",
        "MARKERS": "{directory}/markers",
    },
    workers=(Worker(name="w"),),
    tasks=tuple(
        Task(
            name=f"markers.{name}",
            identity="{customer}",
            inputs=({"customer": f"{name}-1"}, {"customer": f"{name}-2"}),
            effects=(Effect(request="POST /calls", belongs_to=JsonField("/customer")),),
            promise=AtMostOnce(),
            attempts_max=4,
            wait_seconds_max=15.0,
        )
        for name in ("left", "held")
    ),
)
