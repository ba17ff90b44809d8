"""A subject whose previous release is another folder, as from another checkout: `before`."""

from harness.contract import AtLeastOnce, Contract, Effect, JsonField, Release, Task, Worker

CONTRACT = Contract(
    name="greetings",
    app="greetings:app",
    environment={"GREETINGS_BROKER": "{broker_url}", "GREETINGS_URL": "{ledger_url}"},
    previous=Release(directory="before"),
    workers=(Worker(name="w", concurrency=1),),
    tasks=(
        Task(
            name="greetings.greet",
            identity="{whom}",
            inputs=({"whom": "a", "tone": "plain"}, {"whom": "b", "tone": "warm"}, {"whom": "c"}),
            previous_inputs=({"whom": "a"}, None, {"whom": "c"}),
            effects=(Effect(request="POST /greetings", belongs_to=JsonField("/whom")),),
            promise=AtLeastOnce(),
            attempts_max=4,
            wait_seconds_max=15.0,
        ),
    ),
)
