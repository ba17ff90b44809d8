"""How a played downstream may misbehave, as data. The ledger plays it."""

from typing import TypeAlias

from msgspec import Struct

from harness.contract import Extractor


class ErrorStatus(Struct, frozen=True, tag="error-status", kw_only=True):
    """Answer with an HTTP status and apply nothing. Over SMTP 451 (try again) from 500 on, else 550 (permanent)."""

    status: int = 500


class ReplyLost(Struct, frozen=True, tag="reply-lost", kw_only=True):
    """Apply, then lose the reply: the connection is reset (RST), or closed (FIN)."""

    reset: bool = True


class Late(Struct, frozen=True, tag="late", kw_only=True):
    """Apply at once and answer that many seconds late: who is less patient gives up on what was applied."""

    seconds: float


class Reset(Struct, frozen=True, tag="reset", kw_only=True):
    """Apply nothing; the connection is reset (RST)."""


class Silent(Struct, frozen=True, tag="silent", kw_only=True):
    """Apply nothing and never answer; the connection stays open until the client gives up."""


class Dripping(Struct, frozen=True, tag="dripping", kw_only=True):
    """Answer a little at a time for that long, then apply: a client's read timeout never fires.

    Over HTTP that is a byte of a header, over SMTP a line of a reply of many lines.
    """

    seconds: float


Answer: TypeAlias = ErrorStatus | ReplyLost | Late | Reset | Silent | Dripping


class Rule(Struct, frozen=True, kw_only=True):
    """Which requests get which answer, how often (`times` None: always), and how many are met as usual before that."""

    name: str
    answer: Answer
    request: str = ""  # "METHOD /path" or "MAIL /recipient"; empty matches all
    belongs_to: Extractor | None = None
    identity: str = ""
    times: int | None = None
    skip: int = 0
