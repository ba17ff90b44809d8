"""When a SQLite database commits, told from the system calls of its files: one effect, with a before and an after.

A transaction is many writes. It becomes true with one of them, which depends on the journal mode: the journal is
removed (DELETE), cut to nothing (TRUNCATE) or its header zeroed (PERSIST), or the last frame is written to the log
(WAL). It is over for others when the lock is given back, which is the next call that is shown after it. Death before
the first leaves the transaction undone; at the second it is done, and the process does not know.

A journal that goes although this process has not written both it and the database since is a rollback or the recovery
of somebody else's transaction: no commit. Not seen: locking_mode=EXCLUSIVE (nothing is given back, so only "before"),
journal_mode=OFF and MEMORY, and a rollback of a transaction so large that it was written to the database already, which
looks like a commit.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum
from pathlib import Path

from msgspec import Struct

FRAME_HEADER_BYTES = 24
_MARK_BYTES = 8  # at the beginning of a journal


class Moment(Enum):
    COMMITS = "commits"
    COMMITTED = "committed"


class Kind(StrEnum):
    DATABASE = ""
    JOURNAL = "-journal"
    LOG = "-wal"
    LOCKS = "-shm"


class File(Struct, frozen=True):
    database: str  # its name in the settings
    kind: Kind


class Write(Struct, frozen=True):
    offset: int
    size: int
    beginning: bytes  # at least the first 24 bytes, or all


class Cut(Struct, frozen=True):
    """Removed, or truncated to nothing."""


class Unlock(Struct, frozen=True):
    pass


class Transaction(Struct):
    journal_written: bool = False
    database_written: bool = False
    committed: bool = False  # and the lock not given back yet


class Databases:
    """The watched databases and the transactions that are under way in them, by process."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._files = {
            f"{Path(path).resolve()}{kind.value}": File(name, kind) for name, path in paths.items() for kind in Kind
        }
        self._transactions: dict[tuple[int, str], Transaction] = {}

    def __bool__(self) -> bool:
        return bool(self._files)

    def file(self, path: str) -> File | None:
        return self._files.get(path)

    def see(self, process: int, file: File, act: Write | Cut | Unlock) -> Moment | None:
        """What a call that is about to be made means for the database of the file."""
        transaction = self._transactions.setdefault((process, file.database), Transaction())
        match act:
            case Unlock():
                if transaction.committed:
                    del self._transactions[process, file.database]
                    return Moment.COMMITTED
            case Write() if file.kind is Kind.DATABASE:
                transaction.database_written = transaction.journal_written
            case Write(offset=offset, beginning=beginning) if file.kind is Kind.JOURNAL:
                if offset == 0 and not beginning[:_MARK_BYTES].strip(b"\0") and transaction.database_written:
                    return self._commits(transaction)
                transaction.journal_written = True
            case Write(size=size, beginning=beginning) if file.kind is Kind.LOG:
                # A frame's header tells the size of the database in pages if, and only if, it is a commit's.
                if size == FRAME_HEADER_BYTES and beginning[4:8] != bytes(4) and not transaction.committed:
                    return self._commits(transaction)
            case Cut() if file.kind is Kind.JOURNAL:
                if transaction.database_written:
                    return self._commits(transaction)
                transaction.journal_written = False
        return None

    @staticmethod
    def _commits(transaction: Transaction) -> Moment:
        transaction.journal_written = transaction.database_written = False
        transaction.committed = True
        return Moment.COMMITS
