"""The framing of RESP, the protocol of Redis and Valkey (versions 2 and 3): where commands and replies begin and end.

Nothing here depends on how TCP has cut the stream: a `Framing` takes any piece of it and goes on with the next.
"""

import re

from msgspec import Struct

LINE_BYTES_MAX = 64 * 1024  # as in Redis; lengths, numbers, errors and inline commands are shorter
NAME_BYTES_MAX = 128
_SCALARS = b"+-:_#,("
_BULKS = b"$!="
_LISTS = b"*~>"
_PAIRS = b"%|"
_NAME = re.compile(rb"\*\d+\r\n\$(\d+)\r\n")


class NotRespError(ValueError):
    """These bytes are not RESP, or the stream was not joined at the beginning of a value."""


class Framing(Struct, frozen=True, kw_only=True):
    """How far a stream of values has come: inside which lists, how much of a string is to come, the line so far."""

    lists: tuple[int, ...] = ()  # elements that are still to come, of each open list
    skip: int = 0  # bytes of a string, with its line end
    line: bytes = b""
    inline: bool = False  # lines that are no RESP are commands in plain words, which only clients send

    @property
    def is_between(self) -> bool:
        """Whether a value has just ended, or none has begun."""
        return not self.lists and not self.skip and not self.line

    def after(self, data: bytes) -> tuple[int, "Framing"]:
        """How many bytes at the beginning of `data` belong to the current value, and the framing behind them.

        All of them, or as many as there are until the value's end, where the framing is between two.

        :raises NotRespError: this is something else
        """
        lists, skip, line, at = list(self.lists), self.skip, self.line, 0
        while at < len(data):
            if skip:
                taken = min(skip, len(data) - at)
                skip, at = skip - taken, at + taken
                if skip:
                    break
                ended = True
            else:
                # The line end may itself be cut in two.
                end = data.find(b"\n", at)
                line += data[at : len(data) if end < 0 else end + 1]
                if len(line) > LINE_BYTES_MAX:
                    raise NotRespError("a line without end")
                at = len(data) if end < 0 else end + 1
                if end < 0:
                    break
                count, skip = self._headed(line, inside=bool(lists))
                line = b""
                if count:
                    lists.append(count)
                ended = not count and not skip
            while ended and lists:
                lists[-1] -= 1
                ended = lists[-1] == 0
                if ended:
                    lists.pop()
            if ended:
                break
        return at, Framing(lists=tuple(lists), skip=skip, line=line, inline=self.inline)

    def _headed(self, line: bytes, *, inside: bool) -> tuple[int, int]:
        """What follows a line: so many values, or so many bytes, or nothing."""
        kind = line[:1]
        if kind in _SCALARS:
            return 0, 0
        if self.inline and not inside and kind not in _BULKS + _LISTS + _PAIRS:
            return 0, 0
        if not re.fullmatch(rb".-?\d{1,18}\r\n", line, re.DOTALL):
            raise NotRespError(f"{line[:20]!r} begins no value")
        number = int(line[1:])
        if kind in _BULKS:
            return 0, number + 2 if number >= 0 else 0
        if kind in _LISTS:
            return max(0, number), 0
        if kind in _PAIRS:
            return max(0, 2 * number), 0
        raise NotRespError(f"{line[:20]!r} begins no value")


def command_in(data: bytes) -> str | None:
    """The name, in capitals, of the command that `data` begins with; None while there is too little of it.

    :raises NotRespError: it begins with something else
    """
    if not data.startswith(b"*"):
        words, newline, _ = data.partition(b"\n")
        if not newline and len(data) < LINE_BYTES_MAX:
            return None
        return (words.split() or [b""])[0][:NAME_BYTES_MAX].decode("latin-1").upper()
    head = _NAME.match(data)
    if head is None:
        if len(data) > NAME_BYTES_MAX:
            raise NotRespError(f"{data[:20]!r} begins no command")
        return None
    size = min(int(head[1]), NAME_BYTES_MAX)
    name = data[head.end() : head.end() + size]
    return name.decode("latin-1").upper() if len(name) == size else None
