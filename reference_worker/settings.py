"""Settings from the environment, read once when the worker starts.

Each is `REFERENCE_WORKER_` and the field's name in capitals: `REFERENCE_WORKER_BROKER_URL`. The defaults are those of
production, and fit each other: hard limits and the longest backoff (32 s and a quarter of jitter) are shorter than
the visibility timeout, so that a message is never handed to a second worker while the first still works or waits on it;
a claim outlives the hard limit of the body that holds it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

_PREFIX = "REFERENCE_WORKER_"


@dataclass(frozen=True, kw_only=True)
class Settings:
    broker_url: str = "redis://127.0.0.1:6379/0"
    database_url: str = "sqlite:///reference_worker.db"  # or postgresql+psycopg://...
    # The downstream services.
    smtp_url: str = "smtp://127.0.0.1:1025"
    mail_url: str = "http://127.0.0.1:8025"
    payments_url: str = "http://127.0.0.1:8025"
    accounting_url: str = "http://127.0.0.1:8025"
    crm_url: str = "http://127.0.0.1:8025"
    storage_url: str = "http://127.0.0.1:8025"
    client_timeout_seconds: float = 5.0
    upload_timeout_seconds: float = 30.0
    # Nothing runs for ever.
    soft_limit_seconds: float = 30.0
    hard_limit_seconds: float = 45.0
    export_soft_limit_seconds: float = 120.0
    export_hard_limit_seconds: float = 150.0
    visibility_timeout_seconds: int = 300
    claim_seconds: float = 180.0
    # Tried again: after a failure of the downstream, after the death of the worker, when it is not the job's turn.
    retries_max: int = 5
    backoff_seconds: float = 2.0
    worker_losses_max: int = 2
    postpone_seconds: float = 5.0
    # Given up.
    body_bytes_max: int = 1 << 20
    spool_directory: str = "reference_worker_spool"
    spool_retry_seconds: float = 5.0
    scratch_directory: str = "reference_worker_scratch"
    # Watched.
    metrics_host: str = "127.0.0.1"  # 0.0.0.0 in a container
    metrics_port: int = 9808
    monitor_interval_seconds: float = 5.0
    alert_webhook_url: str = ""  # empty: alerts are logged only
    alert_age_seconds: float = 60.0
    alert_growth_seconds: float = 120.0
    bug: str = ""
    release: str = ""  # "previous": as it was before this one, so that the two can be seen to meet


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """:raises ValueError: a number is not a number"""
    given: dict[str, Any] = {}
    for field in fields(Settings):
        text = environment.get(_PREFIX + field.name.upper())
        if text is None:
            continue
        try:
            given[field.name] = type(cast("str | int | float", field.default))(text)
        except ValueError as error:
            raise ValueError(f"{_PREFIX}{field.name.upper()}={text!r} is not a number") from error
    return Settings(**given)
