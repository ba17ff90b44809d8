"""How values are stored: JSON, one event a line, validated when read back."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.events import FORMAT_VERSION, Event

T = TypeVar("T")


class UnreadableError(ValueError):
    """A stored file does not hold what it should; the message names the file and the place."""


# What decoding hostile or torn bytes may raise.
_DAMAGED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_encoder = msgspec.json.Encoder()
_event_decoder = msgspec.json.Decoder(Event)


class _Head(msgspec.Struct):
    """Of a stored value only what tells its format, so that a newer format is refused before it is misread."""

    event: str = ""
    format_version: int = FORMAT_VERSION


_head_decoder = msgspec.json.Decoder(_Head)


def encode(value: Any) -> bytes:
    """JSON on one line. Text that UTF-8 cannot hold (lone surrogates, as a subject's errors may) is replaced."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(_writable(msgspec.to_builtins(value)))


def _writable(value: Any) -> Any:
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case dict():
            return {_writable(key): _writable(item) for key, item in value.items()}
        case list() | tuple():
            return [_writable(item) for item in value]
        case _:
            return value


def pretty(value: Any) -> bytes:
    """Indented and newline-terminated, for files that people open."""
    return msgspec.json.format(encode(value), indent=2) + b"\n"


def digest(value: Any) -> str:
    data = value if isinstance(value, bytes) else encode(value)
    return "sha256:" + hashlib.sha256(data).hexdigest()


def read(path: Path, type_: type[T]) -> T:
    """The value stored at `path`.

    :raises UnreadableError: missing, not JSON, of a newer format, or of another shape
    """
    try:
        data = path.read_bytes()
        check_format(data)
        return msgspec.json.decode(data, type=type_)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from error
    except (*_DAMAGED, UnreadableError) as error:
        raise UnreadableError(f"{path}: {error}") from error


def check_format(data: bytes) -> None:
    version = _head_decoder.decode(data).format_version
    if version > FORMAT_VERSION:
        raise UnreadableError(
            f"it has format {version}; this jobproof reads formats up to {FORMAT_VERSION}: use a newer jobproof"
        )


def events_in(path: Path) -> Iterator[Event]:
    """The events of one log. A torn last line, as a killed writer leaves it, is passed over; any other is an error.

    :raises UnreadableError: a line before the last is not an event of a format that is known here
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            check_format(line)
            yield _event_decoder.decode(line)
        except (*_DAMAGED, UnreadableError) as error:
            if number == len(lines) and isinstance(error, _DAMAGED):
                return
            raise UnreadableError(f"{path}:{number}: {error}") from error


def write_events(path: Path, events: Iterable[Event]) -> None:
    path.write_bytes(b"".join(encode(event) + b"\n" for event in events))
