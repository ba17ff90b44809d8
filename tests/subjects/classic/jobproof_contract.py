from harness.contract import Contract, Task

CONTRACT = Contract(
    app="shop.celery:app",
    environment={"MAIL_HOST": "{smtp_host}", "MAIL_PORT": "{smtp_port}", "SHOP_DB": "{directory}/shop.db"},
    prepare="shop.fixtures:load",
    tasks=(Task(name="shop.tasks.send_receipt", inputs=({"order_id": 1}, {"order_id": 2}, {"order_id": 3})),),
)
