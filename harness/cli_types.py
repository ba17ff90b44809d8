"""What options of several commands are read as."""

import re
from collections.abc import Callable
from typing import Any

import click

from harness.cores import usable_cores

SECONDS_MAX = 3600
SEED_MAX = 2**32 - 1
LANES_MAX = 64


def lanes_for(lanes: Callable[[int], int] = lambda cores: cores) -> int:
    """How many lanes to open where nobody said: `lanes` of the cores that may be used."""
    return min(LANES_MAX, lanes(usable_cores()))


def lanes_option(default: str) -> Callable[[Any], Any]:
    """The same for every command that opens lanes; `default`: how many, in words, where nobody says."""
    return click.option(
        "--lanes",
        "--jobs",
        "lanes",
        type=WholeNumber(1, LANES_MAX),
        default=None,
        envvar="JOBPROOF_LANES",
        show_envvar=True,
        help=f"In parallel. Default: {default}.",
    )


class Seconds(click.ParamType[float]):
    """A time such as 60s or 2m."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(s|m)?", str(value))
        seconds = float(found[1]) * (60 if found[2] == "m" else 1) if found else 0.0
        if not 1 <= seconds <= SECONDS_MAX:
            self.fail(f"{value!r} is not a time from 1s to {SECONDS_MAX // 60}m", param, ctx)
        return seconds


class WholeNumber(click.ParamType[int]):
    """A whole number within bounds, refused in a sentence that names them."""

    name = "number"

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if not (text.isascii() and text.isdecimal() and len(text) <= len(str(self.high))):
            self.fail(f"{text!r} is not a whole number from {self.low} to {self.high}", param, ctx)
        number = int(text)
        if not self.low <= number <= self.high:
            self.fail(f"{number} is not between {self.low} and {self.high}", param, ctx)
        return number


format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For the output.",
)
