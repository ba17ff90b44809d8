"""A file of findings that a team has accepted, each with its reason."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from harness.audit.finding import Accepted, Audit
from harness.codec import UnreadableError, pretty

FORMAT_VERSION = 1


class Baseline(Struct, frozen=True, kw_only=True):
    format_version: int
    accepted: tuple[Accepted, ...]


def read(path: Path) -> dict[str, Accepted]:
    """The accepted findings by fingerprint.

    :raises UnreadableError: no such file, of another shape or a newer format, or an entry has no reason
    """
    try:
        baseline = msgspec.json.decode(path.read_bytes(), type=Baseline)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(f"{path} is no baseline: {error}") from error
    if baseline.format_version > FORMAT_VERSION:
        raise UnreadableError(f"{path} has format {baseline.format_version}: use a newer jobproof")
    for each in baseline.accepted:
        if not each.reason.strip():
            raise UnreadableError(
                f"{path}: {each.rule} ({each.what[:80]}) has no reason; say why it is accepted, or remove the entry"
            )
    return {each.fingerprint: each for each in baseline.accepted}


def write(path: Path, audit: Audit, *, reason: str) -> Baseline:
    """Every finding of an audit, with the reason that it had or else this one; what is gone is left out.

    :raises OSError: it cannot be written
    """
    accepted: Iterable[Accepted] = (
        Accepted(
            fingerprint=finding.fingerprint,
            rule=finding.rule,
            what=finding.what,
            reason=finding.accepted or reason,
        )
        for finding in audit.findings
    )
    baseline = Baseline(format_version=FORMAT_VERSION, accepted=tuple(accepted))
    path.write_bytes(pretty(baseline))
    return baseline
