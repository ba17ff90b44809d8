from harness.contract import Contract, Header, Task

CONTRACT = Contract(
    app="billing.celery:app",
    environment={"PAYMENTS_URL": "{ledger_url}", "BILLING_DB": "{directory}/billing.db"},
    honours_key=Header("Idempotency-Key"),  # the provider documents it
    tasks=(
        Task(
            name="billing.tasks.charge",
            inputs=({"invoice_id": "A-1", "cents": 1750}, {"invoice_id": "A-2", "cents": 900}),
        ),
    ),
)
