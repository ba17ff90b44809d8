from harness.contract import Contract, Task

MONTHS = ({"month": 1}, {"month": 2})

CONTRACT = Contract(
    app="exports",
    environment={"EXPORTS": "{directory}/exports"},
    files=("{directory}/exports/monthly", "{directory}/exports/receipts", "{directory}/exports/published"),
    tasks=(
        Task(name="exports.in_place", inputs=MONTHS),
        Task(name="exports.under_any_name", inputs=MONTHS),
        Task(name="exports.published", inputs=MONTHS),
    ),
)
