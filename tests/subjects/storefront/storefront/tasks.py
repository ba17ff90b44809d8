import requests
from celery import chain, shared_task
from flask import current_app

from storefront.models import Order, Product, Shipment, db


@shared_task
def fulfil(order_id: int) -> None:
    """What happens to an order, one step after the other."""
    chain(reserve.si(order_id), bill.si(order_id), ship.si(order_id)).delay()


@shared_task
def reserve(order_id: int) -> None:
    order = db.session.get(Order, order_id)
    product = db.session.get(Product, order.product_id)
    product.stock -= order.quantity
    order.status = "reserved"
    db.session.commit()


@shared_task(autoretry_for=(requests.RequestException,), max_retries=5, retry_backoff=1, retry_backoff_max=60)
def bill(order_id: int) -> None:
    requests.post(
        f"{current_app.config['PAYMENTS_URL']}/v1/charges",
        json={"order": order_id},
        headers={"Idempotency-Key": f"order-{order_id}"},
        timeout=10,
    ).raise_for_status()
    db.session.get(Order, order_id).status = "billed"
    db.session.commit()


@shared_task
def ship(order_id: int) -> None:
    db.session.add(Shipment(order_id=order_id))
    db.session.get(Order, order_id).status = "shipped"
    db.session.commit()
