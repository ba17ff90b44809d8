"""What the tests of the shop start from."""

from typing import Any

from storefront.models import Order, Product, db
from storefront.worker import flask_app


def load(jobs: list[dict[str, Any]]) -> None:
    with flask_app.app_context():
        db.create_all()
        for number, job in enumerate(jobs, start=1):
            db.session.merge(Product(id=number, name=f"tea {number}", stock=100))
            db.session.merge(Order(id=job["order_id"], product_id=number, quantity=number, status="new"))
        db.session.commit()
