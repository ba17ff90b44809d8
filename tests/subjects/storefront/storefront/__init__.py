"""A shop in Flask, its rows in SQLAlchemy, its work in Celery."""

import os

from celery import Celery, Task
from flask import Flask

from storefront.models import db


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(
        SQLALCHEMY_DATABASE_URI=os.environ["DATABASE_URL"],
        PAYMENTS_URL=os.environ["PAYMENTS_URL"],
        CELERY={
            "broker_url": os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0"),
            "task_acks_late": True,
            "task_reject_on_worker_lost": True,
            "task_ignore_result": True,
            "worker_prefetch_multiplier": 1,
            "task_time_limit": 60,
            "task_default_queue": "orders",
            "include": ["storefront.tasks"],
        },
    )
    db.init_app(app)
    app.extensions["celery"] = make_celery(app)
    return app


def make_celery(app: Flask) -> Celery:
    class InContext(Task):
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery = Celery(app.name, task_cls=InContext)
    celery.config_from_object(app.config["CELERY"])
    celery.set_default()
    return celery
