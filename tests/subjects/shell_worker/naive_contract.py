from harness.contract import AtLeastOnce, Contract, Effect, JsonField, Task, Worker

CONTRACT = Contract(
    name="naive shell worker",
    system="redis-list",
    environment={"BROKER_URL": "{broker_url}", "LEDGER_URL": "{ledger_url}"},
    workers=(Worker(name="only", queues=("emails",), concurrency=1, command=("bash", "naive.bash", "emails")),),
    tasks=(
        Task(
            name="email",
            queue="emails",
            identity="{to}",
            inputs=({"to": "a@x.test"}, {"to": "b@x.test"}, {"to": "c@x.test"}),
            effects=(Effect(request="POST /v1/emails", belongs_to=JsonField("/to")),),
            promise=AtLeastOnce(),
            attempts_max=10,
            wait_seconds_max=20.0,
        ),
    ),
)
