"""The exit codes of every command, documented as API in `docs/exit-codes.md`."""

from enum import IntEnum

from harness.result import Outcome


class ExitCode(IntEnum):
    HELD = 0
    VIOLATED = 1
    BAD_INPUT = 2
    UNKNOWN = 3
    HARNESS_FAILED = 4
    INTERRUPTED = 130


def exit_code(outcome: Outcome, *, harness_failed: bool = False) -> ExitCode:
    """A violation that was proven stands, whatever else went wrong beside it."""
    if outcome == "violated":
        return ExitCode.VIOLATED
    if harness_failed:
        return ExitCode.HARNESS_FAILED
    return ExitCode.HELD if outcome == "held" else ExitCode.UNKNOWN
