"""What a client says to PostgreSQL (protocol 3), so that a commit is one message with what it makes true in its name.

Within a transaction nothing happens until COMMIT: `COMMIT (INSERT sent + UPDATE invoices)`; outside, each statement
that writes happens by itself: `UPDATE invoices`. A transaction that has only read commits without effect. Not known
from the client's words alone: that the transaction had failed already, and that a function called by SELECT writes.
"""

import re
import struct

from harness.boundaries.stable import stable

STARTUP_BYTES = 8
_PROTOCOL, _TLS, _GSS = 3 << 16, 80877103, 80877104
_HEADER = struct.Struct(">cI")
_KEPT_BYTES_MAX = 8192  # of each message, for its statement
_MESSAGE_BYTES_MAX = 1 << 30
_STATEMENTS_MAX = 10_000

_READS = frozenset(
    """
    CHECKPOINT CLOSE DEALLOCATE DECLARE DISCARD EXPLAIN FETCH LISTEN LOCK MOVE PREPARE RELEASE RESET SAVEPOINT SELECT
    SET SHOW TABLE UNLISTEN VALUES
    """.split()  # noqa: SIM905 - twenty quoted words would be harder to read
)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_WRITES = re.compile(
    r"(?<!FOR )(?<!KEY )\b(?P<verb>INSERT|UPDATE|DELETE|MERGE)\s+(?:INTO\s+|FROM\s+)?(?:ONLY\s+)?(?P<table>[\w.\"]+)",
    re.IGNORECASE,
)


def begins(head: bytes) -> bool:
    """Whether a connection that starts with these eight bytes speaks to PostgreSQL."""
    return struct.unpack_from(">I", head, 4)[0] in {_PROTOCOL, _PROTOCOL + 2, _TLS, _GSS}


class Postgresql:
    def __init__(self) -> None:
        self.within = False
        self._buffer = b""
        self._skip = 0
        self._started = False
        self._statements: dict[bytes, str] = {}
        self._portals: dict[bytes, bytes] = {}
        self._in_transaction = False
        self._written: dict[str, None] = {}  # in the transaction, in order
        self._unsynced = False  # a statement outside of a transaction happens at Sync

    def feed(self, data: bytes) -> list[str]:
        self._buffer += data
        begun: list[str] = []
        while self._buffer:
            if self._skip:
                step = min(self._skip, len(self._buffer))
                self._buffer = self._buffer[step:]
                self._skip -= step
            elif not (self._message(begun) if self._started else self._start()):
                break
        self.within = bool(self._buffer or self._skip or self._unsynced)
        return begun

    def _start(self) -> bool:
        """Questions whether the server encrypts, then the start-up message. False if more is needed."""
        if len(self._buffer) < STARTUP_BYTES:
            return False
        size, code = struct.unpack_from(">II", self._buffer)
        if not STARTUP_BYTES <= size < _KEPT_BYTES_MAX or not begins(self._buffer):
            raise ValueError("encrypted from here on, or no start-up")
        self._started = code not in {_TLS, _GSS}
        self._skip = size
        return True

    def _message(self, begun: list[str]) -> bool:
        """One message, if the beginning of it that is kept is there."""
        if len(self._buffer) < _HEADER.size:
            return False
        kind, size = _HEADER.unpack_from(self._buffer)
        if not _HEADER.size - 1 <= size < _MESSAGE_BYTES_MAX:
            raise ValueError("a message of impossible length")
        kept = self._buffer[_HEADER.size : min(size + 1, _KEPT_BYTES_MAX)]
        if len(kept) < min(size + 1, _KEPT_BYTES_MAX) - _HEADER.size:
            return False
        self._skip = size + 1
        match kind:
            case b"Q":
                for statement in _text(kept.split(b"\0")[0]).split(";"):
                    begun += self._run(statement)
            case b"P":
                name, query, *_ = [*kept.split(b"\0", 2), b""]
                if len(self._statements) < _STATEMENTS_MAX:
                    self._statements[name] = _text(query)
            case b"B":
                portal, name, *_ = [*kept.split(b"\0", 2), b""]
                self._portals = {portal: name}
            case b"E":
                found = self._run(self._statements.get(self._portals.get(kept.split(b"\0")[0], b""), ""))
                self._unsynced = self._unsynced or bool(found)
                begun += found
            case b"S":
                self._unsynced = False
        return True

    def _run(self, statement: str) -> list[str]:
        """The name of what this statement makes true, if anything."""
        words = statement.upper().split(maxsplit=2)
        verb = words[0] if words else ""
        happens: list[str] = []
        if verb in {"BEGIN", "START"}:
            self._in_transaction, self._written = True, {}
        elif verb in {"COMMIT", "END"}:
            happens = [f"COMMIT ({' + '.join(self._written)})"] if self._written else []
            self._in_transaction, self._written = False, {}
        elif verb in {"ROLLBACK", "ABORT"}:
            if words[1:2] != ["TO"]:  # to a savepoint: what was written before it stays
                self._in_transaction, self._written = False, {}
        elif verb and verb not in _READS:
            found = _WRITES.search(statement)
            name = f"{found['verb'].upper()} {found['table']}" if found else " ".join(words[:2])
            if found is None and verb == "WITH":
                pass
            elif self._in_transaction:
                self._written[name] = None
            else:
                happens = [name]
        return [stable(name) for name in happens]


def _text(query: bytes) -> str:
    """Without what only looks like SQL: literals and comments."""
    return _COMMENT.sub(" ", _LITERAL.sub("''", query.decode(errors="replace"))).strip()
