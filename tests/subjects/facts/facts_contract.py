from harness.contract import AtLeastOnce, Contract, Effect, JsonField, Task, Worker

CONTRACT = Contract(
    name="facts",
    app="facts:app",
    environment={"FACTS_BROKER": "{broker_url}", "FACTS": "{directory}"},
    workers=(Worker(name="w", concurrency=1),),
    tasks=(
        Task(
            name="facts.tell",
            identity="{number}",
            inputs=({"number": 1},),
            effects=(Effect(request="PUT /none", belongs_to=JsonField("/none")),),
            promise=AtLeastOnce(),
            attempts_max=2,
            wait_seconds_max=15.0,
        ),
    ),
)
