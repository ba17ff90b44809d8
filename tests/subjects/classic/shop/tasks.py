import os
import smtplib
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from shop import orders
from shop.celery import app


@app.task(autoretry_for=(smtplib.SMTPException, OSError), retry_backoff=1, retry_backoff_max=60, max_retries=5)
def send_receipt(order_id: int) -> None:
    """Look whether it was sent, send it, note that it was sent."""
    email, total, already_sent = orders.get(order_id)
    if already_sent:
        return
    mail = EmailMessage()
    mail["From"] = "shop@example.com"
    mail["To"] = email
    mail["Subject"] = f"Your receipt for order {order_id}"
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid()
    mail.set_content(f"Thank you for your order. You paid {total}.")
    with smtplib.SMTP(os.environ["MAIL_HOST"], int(os.environ["MAIL_PORT"]), timeout=10) as smtp:
        smtp.send_message(mail)
    orders.mark_receipt_sent(order_id)
