from harness.contract import Contract, Effect, EffectivelyOnce, Header, JsonField, Task, Worker

CONTRACT = Contract(
    name="pings",
    app="pings:app",
    environment={"PINGS_BROKER": "{broker_url}", "PINGS_URL": "{ledger_url}"},
    workers=(Worker(name="w", concurrency=1),),
    honours_key=Header("X-Ping"),
    tasks=(
        Task(
            name="pings.ping",
            identity="{host}",
            inputs=({"host": "a"}, {"host": "b"}),
            effects=(Effect(request="PUT /ping/*", belongs_to=JsonField("/host")),),
            promise=EffectivelyOnce(key=Header("X-Ping")),
            attempts_max=8,
            wait_seconds_max=15.0,
        ),
    ),
)
