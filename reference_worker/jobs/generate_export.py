import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from reference_worker import claims
from reference_worker.app import DATABASE, SETTINGS, app
from reference_worker.claims import Claim
from reference_worker.downstream import storage
from reference_worker.downstream.errors import FencedOffError
from reference_worker.jobs.base import Job
from reference_worker.postponing import postpone
from reference_worker.records import exports
from reference_worker.records.exports import Export

_log = logging.getLogger(__name__)
_HOLDER_CHARACTERS_MAX = 255
_LOOKS_AFTER = "reference_fenced_off_with"  # the token
_FORMATS = frozenset({"json"})


class UnknownExportError(Exception):
    """There is no such export, and no retry will make one."""


class UnknownExportFormatError(Exception):
    """Nobody can write this format. It cannot be unpickled either, as many exceptions with fields of their own."""

    def __init__(self, *, export_id: str, export_format: str) -> None:
        super().__init__(f"{export_id} asks for the format {export_format!r}")
        self.export_id = export_id
        self.export_format = export_format


@app.task(
    bind=True,
    base=Job,
    name="reference_worker.generate_export",
    soft_time_limit=SETTINGS.export_soft_limit_seconds,
    time_limit=SETTINGS.export_hard_limit_seconds,
)
def generate_export(self: Any, export_id: str) -> None:
    """Build a file and store it, once: long work that nobody wants done twice, for a storage that takes no key.

    A claim keeps two from doing it at the same time. It can be taken over, or a holder's death would end the export
    for ever; and its token fences off a holder that was only thought to be dead.
    """
    export = find(export_id)
    if export.is_done:
        return
    claim = claims.take(DATABASE, f"export:{export_id}", holder=holder_of(self.request), seconds=SETTINGS.claim_seconds)
    if claim is None:
        raise postpone(self, SETTINGS.postpone_seconds)
    try:
        store(export, claim)
    except FencedOffError as error:
        # Its end is looked after, and not taken for granted: the broker has one entry for both deliveries, and what is
        # acknowledged here nobody would hand out again, should the other one die.
        _log.warning("somebody else does %s now: %s", export_id, error)
        raise postpone(self, SETTINGS.postpone_seconds, **{_LOOKS_AFTER: claim.token}) from error
    finally:
        claims.release(DATABASE, claim)


def holder_of(request: Any) -> str:
    """The message; but one that was fenced off and only looks after the end is another than the one that works."""
    fenced_off_with = (request.headers or {}).get(_LOOKS_AFTER, "")
    return f"{fenced_off_with} {request.id}".lstrip()[:_HOLDER_CHARACTERS_MAX]


def find(export_id: str) -> Export:
    """:raises UnknownExportError, UnknownExportFormatError: it can never be done"""
    export = exports.find(DATABASE, export_id)
    if export is None:
        raise UnknownExportError(export_id)
    if export.format not in _FORMATS:
        raise UnknownExportFormatError(export_id=export_id, export_format=export.format)
    return export


def store(export: Export, claim: Claim) -> None:
    """:raises FencedOffError: somebody else has taken over"""
    # Asked with the token, this also shuts out whatever an earlier holder still has on its way.
    if not is_stored(export, token=claim.token):
        with scratch_file() as file:
            write(export, file)
            upload(export, file, token=claim.token)
    if not exports.mark_done(DATABASE, export.export_id, claim=claim):
        raise FencedOffError(f"{claim.name} has been taken over")


@contextmanager
def scratch_file() -> Iterator[IO[bytes]]:
    """A file without a name: it is gone with the process that has it open, whatever that dies of."""
    directory = Path(SETTINGS.scratch_directory)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory) as file:
        yield file


def write(export: Export, file: IO[bytes]) -> None:
    """The same bytes for the same export, whoever writes them. Leaves the file at its beginning."""
    rows = [{"number": number, "of": export.export_id} for number in range(1, export.row_count + 1)]
    file.write(json.dumps({"export_id": export.export_id, "rows": rows}).encode())
    file.seek(0)


def is_stored(export: Export, *, token: int | None) -> bool:
    return storage.holds(
        export.export_id,
        token=token,
        url=SETTINGS.storage_url,
        timeout_seconds=SETTINGS.client_timeout_seconds,
    )


def upload(export: Export, file: IO[bytes], *, token: int | None) -> None:
    storage.put(
        export.export_id,
        file,
        token=token,
        url=SETTINGS.storage_url,
        timeout_seconds=SETTINGS.upload_timeout_seconds,
    )
