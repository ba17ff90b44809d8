"""How a played downstream may misbehave, as data. The ledger plays it."""

from typing import TypeAlias

from msgspec import Struct

from harness.contract import Extractor


class ErrorStatus(Struct, frozen=True, tag="error-status", kw_only=True):
    """Answer with an HTTP status and apply nothing."""

    status: int = 500


class ReplyLost(Struct, frozen=True, tag="reply-lost", kw_only=True):
    """Apply, then lose the reply: the connection is reset (RST), or closed (FIN)."""

    reset: bool = True


class Late(Struct, frozen=True, tag="late", kw_only=True):
    """Apply and answer, that many seconds late."""

    seconds: float


class Silent(Struct, frozen=True, tag="silent", kw_only=True):
    """Apply nothing and never answer; the connection stays open until the client gives up."""


class Dripping(Struct, frozen=True, tag="dripping", kw_only=True):
    """Answer a byte at a time for that long, then apply: a client's read timeout never fires."""

    seconds: float


Answer: TypeAlias = ErrorStatus | ReplyLost | Late | Silent | Dripping


class Rule(Struct, frozen=True, kw_only=True):
    """Which requests get which answer, and how often (`times` None: always)."""

    name: str
    answer: Answer
    request: str = ""  # "METHOD /path"; empty matches all
    belongs_to: Extractor | None = None
    identity: str = ""
    times: int | None = None
