"""What a connection says, as messages with names: pure, fed with what is sent, one `Stream` for each connection.

A name says what happens at the other end and is the same in each run: `HSET invoice`, `POST /v1/emails`,
`SMTP message`, `COMMIT (UPDATE invoices)`. What varies from run to run within a key or path (UUIDs, long hexadecimal or
decimal numbers) becomes `*`; a query string is cut off, for it may hold secrets. Commands that one send carries
together are one name.

Only what changes something at the other end counts. Reads, handshakes, pings and subscriptions are followed, so that
the stream stays understood, and not told. Commands between MULTI and EXEC happen at EXEC.
"""

import re
from typing import Protocol

from msgspec import Struct

from harness.boundaries.postgresql import STARTUP_BYTES, Postgresql, begins
from harness.boundaries.stable import NAME_CHARACTERS_MAX, stable
from harness.boundaries.tls import RECORD_BYTES, Tls

OPAQUE = "SEND"  # what cannot be read: other protocols, a stream that has broken its rules
_LINE_BYTES_MAX = 64 * 1024
_WORD_BYTES_KEPT = 256
_LENGTH_BYTES_MAX = 32
_SIGNS = b"*$"  # of a command, of a word

REDIS_WITHOUT_EFFECT = frozenset(
    """
    AUTH BITCOUNT BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZPOPMAX BZPOPMIN CLIENT COMMAND CONFIG DBSIZE DISCARD DUMP ECHO
    EXISTS EXPIRETIME GET GETBIT GETRANGE HELLO HEXISTS HGET HGETALL HKEYS HLEN HMGET HSCAN HSTRLEN HVALS INFO KEYS
    LASTSAVE LINDEX LLEN LPOS LRANGE MEMORY MGET MONITOR MULTI OBJECT PFCOUNT PING PSUBSCRIBE PTTL PUNSUBSCRIBE QUIT
    RANDOMKEY READONLY ROLE SCAN SCARD SCRIPT SDIFF SELECT SINTER SISMEMBER SLOWLOG SMEMBERS SMISMEMBER SRANDMEMBER
    SSCAN SSUBSCRIBE STRLEN SUBSCRIBE SUNION SUNSUBSCRIBE TIME TTL TYPE UNSUBSCRIBE UNWATCH WAIT WATCH XINFO XLEN
    XPENDING XRANGE XREAD XREVRANGE ZCARD ZCOUNT ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYSCORE ZSCAN
    ZSCORE
    """.split()  # noqa: SIM905 - ninety quoted words would be harder to read
)
HTTP_WITHOUT_EFFECT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Seen(Struct, frozen=True, kw_only=True):
    """What one send did to the messages of its connection."""

    begun: str = ""  # the names of what began in it and counts, joined by " + "
    ended: bool = False  # what had begun in an earlier send ended in this one
    open: bool = False  # what `begun` names has not ended yet


class Reading(Protocol):
    """One protocol. `feed` returns the names that begin, in order; `within` tells whether a message is incomplete."""

    within: bool

    def feed(self, data: bytes) -> list[str]: ...


class Stream:
    """Reads what one connection sends, whatever protocol it turns out to be."""

    def __init__(self) -> None:
        self._reading: Reading | None = None
        self._sniffed = b""
        self._counts = False  # whether the message that is incomplete is one that counts
        self._clear: _Clear | None = None

    @property
    def has_costly_reads(self) -> bool:
        """Whether what has no name may change something all the same: a GET may raise a fence, a SELECT does not.

        What a large message is sent in after its beginning is part of what has a name.
        """
        if self._clear is not None:
            return self._clear.stream.has_costly_reads
        return isinstance(self._reading, _Http) and not self._counts

    @property
    def is_encrypted(self) -> bool:
        return isinstance(self._reading, Tls)

    @property
    def within(self) -> bool:
        """Whether a message has begun and not ended, or may have."""
        return bool(self._sniffed) if self._reading is None else self._reading.within

    def feed(self, data: bytes, *, clear: bytes | None = None) -> Seen:
        """`clear`: what was encrypted into this send and, if it is long, into the next ones, where that is known."""
        if self._reading is None:
            self._sniffed += data
            self._reading = _protocol(self._sniffed)
            if self._reading is None:
                return Seen()
            data, self._sniffed = self._sniffed, b""
        was_open = self._counts
        try:
            begun = self._reading.feed(data)
        except ValueError:
            self._reading = _Opaque()
            self._counts = False
            return Seen(begun=OPAQUE, ended=was_open)
        if self._clear is None and clear is not None and self.is_encrypted:
            self._clear = _Clear()
        if self._clear is not None:
            return self._clear.feed(len(begun), clear)
        within = self._reading.within
        ended = was_open and (bool(begun) or not within)
        self._counts = within and (bool(begun) or was_open)
        return Seen(begun=_joined(begun), ended=ended, open=bool(begun) and within)


class _Clear:
    """The clear text of an encrypted stream, of which one write may take several records and so several sends."""

    def __init__(self) -> None:
        self.stream = Stream()
        self._waiting: bytes | None = None  # told, but no record of it has been seen
        self._left = 0  # records of the latest write that are still to come
        self._held = Seen()  # what is to be told once they have

    def feed(self, records: int, clear: bytes | None) -> Seen:
        self._waiting = self._waiting if clear is None else clear
        if not records:
            return Seen()
        begun = ""
        if self._waiting is not None:
            self._held = self.stream.feed(self._waiting)
            self._left = -(-len(self._waiting) // RECORD_BYTES)
            self._waiting = None
            begun = self._held.begun
        elif self._left <= 0:
            return Seen()  # TLS's own: an alert looks like data from outside; what is written would have been told
        self._left -= records
        if self._left > 0:
            return Seen(begun=begun, open=bool(begun))
        held, self._held = self._held, Seen()
        is_whole = bool(held.begun) and not held.open
        if begun:
            return held
        return Seen(ended=held.ended or is_whole)


def _joined(names: list[str]) -> str:
    several = list(dict.fromkeys(names))
    return " + ".join(several)[:NAME_CHARACTERS_MAX]


def _protocol(head: bytes) -> Reading | None:
    """Told by the first bytes; None while they do not tell yet."""
    for beginning, reading in _PROTOCOLS:
        if beginning.match(head):
            return reading()
    if len(head) >= STARTUP_BYTES and begins(head):
        return Postgresql()
    return None if _UNDECIDED.match(head) else _Opaque()


class _Opaque:
    within = False

    def feed(self, data: bytes) -> list[str]:
        return [OPAQUE] if data else []


class _Lines:
    """A buffer that gives whole lines, or a number of bytes to pass over."""

    def __init__(self) -> None:
        self._buffer = b""
        self._skip = 0

    def put(self, data: bytes) -> None:
        self._buffer += data

    def line(self) -> bytes | None:
        line, end, rest = self._buffer.partition(b"\n")
        if not end:
            if len(self._buffer) > _LINE_BYTES_MAX:
                raise ValueError("a line without an end")
            return None
        self._buffer = rest
        return line.removesuffix(b"\r")

    def skip(self, count: int) -> None:
        self._skip += count

    def skipped(self) -> bool:
        """Pass over what is to be skipped; False if more of it is to come."""
        count = min(self._skip, len(self._buffer))
        self._buffer = self._buffer[count:]
        self._skip -= count
        return self._skip == 0

    @property
    def empty(self) -> bool:
        return not self._buffer


class _Resp:
    """Redis commands: arrays of bulk strings. The key is told by its place, which for scripts is the fourth.

    Of what takes several keys it is the first.
    """

    def __init__(self) -> None:
        self.within = False
        self._buffer = b""
        self._skip = 0  # bytes of a word that are to be passed over
        self._words: list[bytes] = []  # the beginnings of those that the name is made of
        self._left = 0  # words of the command that are still to come
        self._named = True
        self._queued: list[str] | None = None  # the names since MULTI

    def feed(self, data: bytes) -> list[str]:
        buffer = self._buffer + data if self._buffer else data
        begun: list[str] = []
        at, size = 0, len(buffer)
        while at < size:
            if self._skip:
                step = min(self._skip, size - at)
                self._skip -= step
                at += step
                continue
            end = buffer.find(b"\r\n", at)
            if end < 0:
                if size - at > _LENGTH_BYTES_MAX:
                    raise ValueError("a length without an end")
                break
            number = int(buffer[at + 1 : end])
            if number < 0 or buffer[at] != _SIGNS[self._left > 0]:
                raise ValueError("not a command")
            if self._left == 0:
                self._words, self._named, self._left = [], number == 0, number
                at = end + 2
                continue
            if not self._named:
                word = buffer[end + 2 : end + 2 + min(number, _WORD_BYTES_KEPT)]
                if len(word) < min(number, _WORD_BYTES_KEPT):
                    break
                self._words.append(word)
            at = end + 2
            self._skip = number + 2
            self._left -= 1
            if not self._named and (self._left == 0 or len(self._words) >= self._words_for_name()):
                self._named = True
                begun += self._name()
        self._buffer = buffer[at:]
        self.within = bool(self._left or self._skip or self._buffer or self._queued is not None)
        return begun

    def _words_for_name(self) -> int:
        verb = self._words[0].upper()
        if verb.startswith((b"EVAL", b"FCALL")):
            return 4
        return 3 if verb in {b"LMPOP", b"ZMPOP"} else 2

    def _name(self) -> list[str]:
        verb = self._words[0].decode(errors="replace").upper()
        if verb == "MULTI":
            self._queued = []
            return []
        if verb in {"EXEC", "DISCARD"}:
            queued, self._queued = self._queued or [], None
            return queued if verb == "EXEC" else []
        if verb in REDIS_WITHOUT_EFFECT:
            return []
        place = self._words_for_name() - 1
        key = self._words[place].decode(errors="replace") if len(self._words) > place else ""
        name = stable(f"{verb} {key}".strip())
        if self._queued is not None:
            self._queued.append(name)
            return []
        return [name]


class _Http:
    """HTTP/1.1 requests, with a body by length or in chunks. Told as method and path."""

    def __init__(self) -> None:
        self.within = False
        self._lines = _Lines()
        self._state = "request"
        self._length = 0
        self._chunked = False

    def feed(self, data: bytes) -> list[str]:
        self._lines.put(data)
        begun: list[str] = []
        while self._lines.skipped() and (line := self._lines.line()) is not None:
            if self._state == "request":
                if line:
                    begun += self._request(line)
            elif self._state == "headers":
                self._header(line)
            elif self._state == "chunk":
                self._chunk(line)
            elif not line:  # the end of the trailers
                self._state = "request"
        self.within = self._state != "request" or not self._lines.skipped() or not self._lines.empty
        return begun

    def _request(self, line: bytes) -> list[str]:
        method, _, rest = line.decode("latin-1").partition(" ")
        target, _, version = rest.rpartition(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError("not a request line")
        self._state, self._length, self._chunked = "headers", 0, False
        if method in HTTP_WITHOUT_EFFECT:
            return []
        return [stable(f"{method} {target.partition('?')[0]}")]

    def _header(self, line: bytes) -> None:
        if line:
            name, _, value = line.partition(b":")
            match name.strip().lower():
                case b"content-length":
                    self._length = int(value)
                case b"transfer-encoding":
                    self._chunked = b"chunked" in value.lower()
            return
        self._state = "chunk" if self._chunked else "request"
        if not self._chunked:
            self._lines.skip(self._length)

    def _chunk(self, line: bytes) -> None:
        size = int(line.partition(b";")[0], 16)
        if size:
            self._lines.skip(size + 2)
        else:
            self._state = "trailers"


class _Smtp:
    """A mail happens when the line with the single dot arrives; the dialogue before it changes nothing.

    Only what the client says is heard. After DATA a send that is just RSET or QUIT means that DATA was refused.
    """

    _REFUSED = frozenset({b"RSET\r\n", b"QUIT\r\n"})

    def __init__(self) -> None:
        self.within = False
        self._lines = _Lines()
        self._mail = False
        self._begun = False

    def feed(self, data: bytes) -> list[str]:
        if self._mail and not self._begun and data.upper() in self._REFUSED:
            self._mail = False
        self._lines.put(data)
        begun: list[str] = []
        if self._mail and not self._begun:
            self._begun = True
            begun.append("SMTP message")
        while (line := self._lines.line()) is not None:
            if self._mail and not self._begun:
                self._begun = True
                begun.append("SMTP message")
            if self._mail:
                if line == b".":
                    self._mail = self._begun = False
            elif line[:4].upper() == b"DATA":
                self._mail = True
            elif line[:8].upper() == b"STARTTLS":
                raise ValueError("encrypted from here on")
            elif line[:4].upper() == b"BDAT":
                raise ValueError("mail in chunks is not read")
        self.within = self._begun or not self._lines.empty
        return begun


_PROTOCOLS: tuple[tuple[re.Pattern[bytes], type[Reading]], ...] = (
    (re.compile(rb"\*\d"), _Resp),
    (re.compile(rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE) "), _Http),
    (re.compile(rb"\x16\x03[\0-\4]"), Tls),
    (re.compile(rb"(?:EHLO|HELO|LHLO)[ \r]", re.IGNORECASE), _Smtp),
)
_UNDECIDED = re.compile(rb"(?:\*|\x16\x03?|[A-Za-z]{1,7}|\0.{0,6})\Z", re.DOTALL)  # too little to tell
