"""Countdowns that were shortened so that nobody had to wait for them, and what is not known for that reason. Pure."""

from collections import Counter
from collections.abc import Iterable

from harness.events import CountdownShortened
from harness.plan import NotCovered

COUNTDOWNS = "countdowns"


def not_waited_for(shortened: Iterable[CountdownShortened]) -> tuple[NotCovered, ...]:
    """How many there were of each length; nothing if none."""
    counts = Counter((round(event.seconds), event.to_seconds) for event in shortened)
    told = [
        f"{count} countdown{'s were' if count > 1 else ' was'} shortened from {seconds} s to {to_seconds:g} s"
        for (seconds, to_seconds), count in sorted(counts.items())
    ]
    because = f"{', '.join(told)}: what comes of waiting so long, as from the visibility timeout (F29), is not known"
    return (NotCovered(name=COUNTDOWNS, because=because),) if told else ()
