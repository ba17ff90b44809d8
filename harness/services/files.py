"""The subject's own files, read after a run."""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from harness.contract import Folder
from harness.events import FileLeft
from harness.history import document_in, without
from harness.system import SubjectError

FILES_MAX = 10_000
KEPT_BYTES_MAX = 1 << 20  # of a larger file only the digest is known, and so no part of it can be left out
BEGINNING_BYTES = 256
_READ_BYTES = 1 << 20
EMPTY, FILLED = "empty", "filled"
LINE = "#"  # begins the number of a line


class FileFound(Struct, frozen=True, kw_only=True):
    """`name`: below its folder, with slashes. `kept`: what is in it, of a larger file its beginning."""

    name: str
    size: int
    digest: str
    kept: bytes

    @property
    def is_whole(self) -> bool:
        return len(self.kept) == self.size


def files_in(directory: Path) -> tuple[FileFound, ...]:
    """Every file below a directory, in the order of the names; none where there is no such directory.

    Of a link it is told where it leads. What is neither file nor link is passed over.

    :raises SubjectError: one cannot be read, or there are too many
    """
    found: list[FileFound] = []
    try:
        for path in _below(directory):
            if len(found) == FILES_MAX:
                raise SubjectError(f"more than {FILES_MAX} files are in {directory.name}: name a smaller folder")
            found.append(_read(path, path.relative_to(directory).as_posix()))
    except OSError as error:
        where = Path(error.filename or directory).name
        raise SubjectError(f"the subject's file {where} cannot be read: {error.strerror}") from error
    return tuple(sorted(found, key=lambda each: each.name))


def _below(directory: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(directory, onerror=_unless_missing):
        for name in names:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                yield path


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _read(path: Path, name: str) -> FileFound:
    if path.is_symlink():
        target = b"-> " + os.fsencode(path.readlink())
        return FileFound(name=name, size=len(target), digest=hashlib.sha256(target).hexdigest(), kept=target)
    digest, kept, size = hashlib.sha256(), b"", 0
    with path.open("rb") as file:
        while part := file.read(_READ_BYTES):
            kept = kept or part[:KEPT_BYTES_MAX]
            digest.update(part)
            size += len(part)
    return FileFound(name=name, size=size, digest=digest.hexdigest(), kept=kept)


def left(folder: Folder, file: FileFound) -> FileLeft:
    """What is recorded of a file: without what differs from run to run."""
    rule = folder.rule_of(file.name)
    return FileLeft(
        name=file.name,
        kind=rule.name if rule is not None else file.name,
        task=(rule.task if rule is not None else "") or folder.task,
        size=file.size,
        content=content_of(rule.volatile if rule is not None else (), file),
        beginning=file.kept[:BEGINNING_BYTES].decode("latin-1"),
    )


def content_of(volatile: tuple[str, ...], file: FileFound) -> str:
    """What two files that hold the same have in common; where all may differ, whether there is anything in it.

    One that is to be JSON and is not, as one that was torn, has nothing in common with one that is.
    """
    if not volatile:
        return file.digest
    if "" in volatile:
        return FILLED if file.size else EMPTY
    if volatile[0].startswith(LINE):
        left_out = {int(each[1:]) for each in volatile}
        lines = [line for number, line in enumerate(file.kept.splitlines(), start=1) if number not in left_out]
        return hashlib.sha256(b"\n".join(lines)).hexdigest() if file.is_whole else file.digest
    document = document_in(file.kept) if file.is_whole else None
    if not isinstance(document, dict | list):
        return file.digest
    return hashlib.sha256(without(document, volatile).encode()).hexdigest()
