from harness.contract import Contract, Effect, EffectivelyOnce, Header, JsonField, Task, Worker

CONTRACT = Contract(
    name="reliable shell worker",
    system="redis-list",
    environment={"BROKER_URL": "{broker_url}", "LEDGER_URL": "{ledger_url}"},
    workers=tuple(
        Worker(name=name, queues=("emails",), concurrency=1, command=("bash", "reliable.bash", "emails", f"own:{name}"))
        for name in ("one", "two")
    ),
    honours_key=Header("Idempotency-Key"),
    tasks=(
        Task(
            name="email",
            queue="emails",
            identity="{to}",
            inputs=({"to": "a@x.test"}, {"to": "b@x.test"}, {"to": "c@x.test"}),
            effects=(Effect(request="POST /v1/emails", belongs_to=JsonField("/to")),),
            promise=EffectivelyOnce(key=Header("Idempotency-Key")),
            retries_max=4,
            attempts_max=10,
            patience_seconds=2.0,
            wait_seconds_max=20.0,
        ),
    ),
)
