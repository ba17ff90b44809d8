"""The stores of a lane's subject: its dead letters, their spool, its files, and what must be empty in the end."""

from pathlib import Path

from harness.contract import Contract, DeadLetterTable, fill
from harness.services.files import FileFound, files_in
from harness.services.tables import HIDDEN, Tables
from harness.system import SubjectError


class LaneStores:
    """See `harness.system.Stores`."""

    def __init__(self, contract: Contract, placeholders: dict[str, str]) -> None:
        self.contract = contract
        self.tables = Tables(placeholders)
        self._placeholders = placeholders

    def hide_dead_letters(self) -> None:
        self.tables.hide(self._dead_letters.as_table())

    def show_dead_letters(self) -> None:
        self.tables.show(self._dead_letters.as_table())

    @property
    def _dead_letters(self) -> DeadLetterTable:
        if self.contract.dead_letters is None:
            raise SubjectError("the contract does not say where dead letters go, so they cannot be taken away")
        return self.contract.dead_letters

    @property
    def _spool(self) -> Path:
        if not self._dead_letters.spool:
            raise SubjectError("the contract names no spool, so it cannot be taken away")
        return Path(fill(self._dead_letters.spool, self._placeholders, where="spool"))

    def block_spool(self) -> None:
        spool = self._spool
        if spool.exists():
            spool.rename(spool.with_name(spool.name + HIDDEN))
        spool.write_bytes(b"")  # a file where a directory has to be: root cannot write below it either

    def unblock_spool(self) -> None:
        spool = self._spool
        spool.unlink()
        if (kept := spool.with_name(spool.name + HIDDEN)).exists():
            kept.rename(spool)

    def files_in(self, folder: str) -> tuple[FileFound, ...]:
        """Every file below a folder that the contract names.

        :raises SubjectError: one cannot be read, or there are too many
        """
        return files_in(Path(fill(folder, self._placeholders, where="files")))

    def left_behind(self) -> list[str]:
        """Files in directories that the contract wants empty, each below its directory's name."""
        found = []
        for template in self.contract.scratch:
            directory = Path(fill(template, self._placeholders, where="scratch"))
            paths = sorted(directory.rglob("*")) if directory.is_dir() else []
            found += [f"{directory.name}/{path.relative_to(directory)}" for path in paths if not path.is_dir()]
        return found

    def spooled(self) -> int:
        """How many dead letters wait for their table."""
        place = self.contract.dead_letters
        if place is None or not place.spool:
            return 0
        directory = self._spool
        return sum(1 for path in directory.iterdir() if path.is_file()) if directory.is_dir() else 0
