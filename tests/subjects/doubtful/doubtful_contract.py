import os

from harness.contract import Contract, Header, Task

CONTRACT = Contract(
    app="doubtful:app",
    environment={"DOUBT": os.environ.get("DOUBT", ""), "NOTES_URL": "{ledger_url}", "SCRATCH": "{directory}"},
    honours_key=Header("Idempotency-Key"),
    tasks=(Task(name="doubtful.take_note", inputs=({"number": 1}, {"number": 2})),),
)
