"""Settings from the environment, read once when the worker starts."""

import os
from dataclasses import dataclass

_PREFIX = "REFERENCE_WORKER_"


@dataclass(frozen=True, kw_only=True)
class Settings:
    broker_url: str
    database_url: str
    mail_url: str
    mail_timeout_seconds: float = 5.0
    # The visibility timeout is longer than the hard limit and the longest backoff (32 s and a quarter of jitter), so
    # that a message is never handed to a second worker while the first still works or waits on it.
    visibility_timeout_seconds: int = 300
    soft_limit_seconds: float = 30.0
    hard_limit_seconds: float = 45.0
    retries_max: int = 5
    backoff_seconds: float = 2.0
    bug: str = ""


def read(environment: "os._Environ[str] | dict[str, str]" = os.environ) -> Settings:
    """:raises ValueError: a number is not a number"""

    def text(name: str, default: str) -> str:
        return environment.get(_PREFIX + name, default)

    return Settings(
        broker_url=text("BROKER_URL", "redis://127.0.0.1:6379/0"),
        database_url=text("DATABASE_URL", "sqlite:///reference_worker.db"),
        mail_url=text("MAIL_URL", "http://127.0.0.1:8025"),
        backoff_seconds=float(text("BACKOFF_SECONDS", "2.0")),
        bug=text("BUG", ""),
    )
