"""What the subject's processes of one release are started with."""

from dataclasses import dataclass
from pathlib import Path

from harness.runtimes.forker import Forker


@dataclass(frozen=True, kw_only=True)
class Launch:
    """`placeholders` are those of commands, `python` among them; `image` is empty for the lane's own."""

    placeholders: dict[str, str]
    environment: dict[str, str]
    cwd: Path
    forker: Forker
    image: str = ""

    @property
    def python(self) -> str:
        return self.placeholders["python"]
