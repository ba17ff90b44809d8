from harness.contract import Contract, Header, Task

CONTRACT = Contract(
    app="storefront.worker:app",
    environment={"DATABASE_URL": "sqlite:///{directory}/shop.db", "PAYMENTS_URL": "{ledger_url}"},
    databases=("sqlite:///{directory}/shop.db",),
    prepare="storefront.seeds:load",
    honours_key=Header("Idempotency-Key"),
    tasks=(Task(name="storefront.tasks.fulfil", inputs=({"order_id": 11}, {"order_id": 12}, {"order_id": 13})),),
)
