"""Settings from the environment, read once when the worker starts."""

import os
from dataclasses import dataclass

_PREFIX = "REFERENCE_WORKER_"


@dataclass(frozen=True, kw_only=True)
class Settings:
    broker_url: str
    database_url: str
    mail_url: str
    mail_timeout_seconds: float
    # The visibility timeout is longer than the hard limit and the longest backoff (32 s and a quarter of jitter), so
    # that a message is never handed to a second worker while the first still works or waits on it.
    visibility_timeout_seconds: int = 300
    soft_limit_seconds: float
    hard_limit_seconds: float
    retries_max: int = 5
    backoff_seconds: float
    bug: str = ""


def read(environment: "os._Environ[str] | dict[str, str]" = os.environ) -> Settings:
    """:raises ValueError: a number is not a number"""

    def text(name: str, default: str) -> str:
        return environment.get(_PREFIX + name, default)

    return Settings(
        broker_url=text("BROKER_URL", "redis://127.0.0.1:6379/0"),
        database_url=text("DATABASE_URL", "sqlite:///reference_worker.db"),
        mail_url=text("MAIL_URL", "http://127.0.0.1:8025"),
        mail_timeout_seconds=float(text("MAIL_TIMEOUT_SECONDS", "5")),
        soft_limit_seconds=float(text("SOFT_LIMIT_SECONDS", "30")),
        hard_limit_seconds=float(text("HARD_LIMIT_SECONDS", "45")),
        backoff_seconds=float(text("BACKOFF_SECONDS", "2")),
        bug=text("BUG", ""),
    )
