from harness.contract import Contract, Effect, EffectivelyOnce, Header, JsonField, Task, Worker

KEY = Header("Idempotency-Key")

CONTRACT = Contract(
    name="later",
    app="later:app",
    environment={"LATER_BROKER": "{broker_url}", "LATER_URL": "{ledger_url}"},
    workers=(Worker(name="w"),),
    honours_key=KEY,
    tasks=tuple(
        Task(
            name=f"later.{name}",
            identity="{number}",
            inputs=({"number": number}, {"number": number + 1}),
            effects=(Effect(request="POST /charges", belongs_to=JsonField("/number")),),
            promise=EffectivelyOnce(key=KEY),
            retries_max=3,
            attempts_max=6,
            wait_seconds_max=wait_seconds,
            patience_seconds=5.0,
        )
        for name, number, wait_seconds in (("anew", 1, 400.0), ("same", 3, 400.0))
    ),
)
