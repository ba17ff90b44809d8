from harness.contract import Contract, Effect, EffectivelyOnce, Header, JsonField, Sidecar, SqlTable, Task, Worker

KEY = Header("Idempotency-Key")

CONTRACT = Contract(
    name="relays",
    app="relays:app",
    environment={
        "RELAYS_BROKER": "{broker_url}",
        "RELAYS_URL": "{ledger_url}",
        "RELAYS_DB": "{directory}/relays.db",
        "RELAYS_KEYED": "yes",
    },
    workers=(Worker(name="w"),),
    sidecars=(Sidecar(name="relay", command=("{python}", "relays.py"), recovers_within_seconds=1.0),),
    honours_key=KEY,
    state=(SqlTable(url="sqlite:///{directory}/relays.db", table="owed", columns=("number", "sent")),),
    tasks=(
        Task(
            name="relays.place",
            identity="{number}",
            inputs=tuple({"number": number} for number in range(8)),
            effects=(Effect(request="POST /deliveries", belongs_to=JsonField("/number")),),
            promise=EffectivelyOnce(key=KEY),
            attempts_max=4,
            wait_seconds_max=15.0,
        ),
    ),
)
