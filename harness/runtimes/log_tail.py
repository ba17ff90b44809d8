"""The last that a process printed, for an error of one line."""

from pathlib import Path


def tail(log: Path, characters: int = 600) -> str:
    """The end of a log, on one line."""
    try:
        text = log.read_text(errors="replace").strip()
    except OSError:
        text = ""
    return " / ".join(line.strip() for line in text[-characters:].splitlines()[-4:]) or "it printed nothing"


def last_line(log: Path) -> str:
    """The last thing a process said."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1].strip() if lines else "it printed nothing"
