"""The ways in which a message can be spoilt, whatever the job library; each driver knows how it does that."""

from enum import StrEnum


class PoisonKind(StrEnum):
    """What is wrong with a message that was put into a queue past every producer."""

    UNDECODABLE_BODY = "undecodable-body"
    REFUSED_CONTENT_TYPE = "refused-content-type"
    UNKNOWN_TASK = "unknown-task"
    MISSING_HEADERS = "missing-headers"
    WRONG_ARITY = "wrong-arity"
    WRONG_TYPE = "wrong-type"
    OVERSIZED = "oversized"
    NESTED_TOO_DEEP = "nested-too-deep"
    NOT_JSON = "not-json"
    NOT_AN_ENVELOPE = "not-an-envelope"
