"""Names that are the same in each run."""

import re

NAME_CHARACTERS_MAX = 200

_VARIES = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,}|\d{9,}", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d{3,}(?![0-9A-Za-z])")  # a shorter one is hardly a process's
PID = "{pid}"
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def stable(text: str) -> str:
    """Without what differs from run to run, printable, of bounded length."""
    return _UNPRINTABLE.sub("?", _VARIES.sub("*", text))[:NAME_CHARACTERS_MAX]


def without_pids(name: str, *pids: int) -> str:
    """The number of a process, as workers put it into the names of what is their own, is another in each run."""
    return _NUMBER.sub(lambda found: PID if int(found[0]) in pids else found[0], name)
