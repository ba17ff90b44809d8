from hypothesis import strategies as st

from harness.contract import Contract, Task

MONTHS = ({"month": 1}, {"month": 2})

CONTRACT = Contract(
    app="exports",
    environment={"EXPORTS": "{directory}/exports"},
    files=("{directory}/exports/monthly", "{directory}/exports/receipts", "{directory}/exports/published"),
    tasks=(
        Task(name="exports.in_place", inputs=MONTHS),
        Task(name="exports.under_any_name", inputs=st.fixed_dictionaries({"month": st.integers(1, 10**6)}), drawn=2),
        Task(name="exports.published", inputs=MONTHS),
    ),
)
