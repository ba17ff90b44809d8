"""What a run leaves behind: dead letters, rows, files, and what should not be there. Read once all is over."""

from typing import Any

from harness.codec import digest
from harness.contract import DeadLetterTable
from harness.events import DeadLettered, FilesRecorded, MessageId, StateRecorded
from harness.runtimes.lane_system import LaneSystem
from harness.services.files import left
from harness.store import OBSERVER, Recorder


def record_remains(system: LaneSystem[Any], recorder: Recorder) -> None:
    """Dead letters, rows of the tables, and files of the folders that the contract names.

    :raises SubjectError: a table or a file cannot be read
    """
    place = system.contract.dead_letters
    if place is not None:
        for letter in _dead_letters(system, place):
            recorder.record(OBSERVER, letter)
    for table in system.contract.state:
        rows = tuple(sorted(system.stores.tables.rows(table), key=repr))
        recorder.record(OBSERVER, StateRecorded(table=table.table, rows=rows))
    for folder in system.contract.folders:
        found = tuple(left(folder, each) for each in system.stores.files_in(folder.path))
        recorder.record(OBSERVER, FilesRecorded(folder=folder.path, files=found))


def _dead_letters(system: LaneSystem[Any], place: DeadLetterTable) -> list[DeadLettered]:
    letters = []
    for message, reason, body in system.stores.tables.rows(place.as_table(), may_be_missing=True):
        data = body.encode() if isinstance(body, str) else bytes(body or b"")
        letters.append(
            DeadLettered(
                message=MessageId(str(message)), reason=str(reason), body_digest=digest(data), body_bytes=len(data)
            )
        )
    return letters
