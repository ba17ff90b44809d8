"""When somebody has to be told: a state machine over samples, without a clock of its own.

* `QueueMessageTooOld`: a queue's oldest message is older than `age_seconds`. Over once it is younger than
  four fifths of that.
* `QueueGrowing`: watched for `growth_seconds` or longer, and of the last `growth_seconds`, cut into four, the lowest
  depth of each quarter was higher than that of the quarter before. A burst that drains, or only stays, is none. Over
  once the last quarter's lowest depth is no higher than the one's before it.
* `BrokerUnreachable`: `FAILURES_BEFORE_UNREACHABLE` samples in a row failed. Over with the first that does not.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from reference_worker.monitor.sampling import QueueSample, Sample

TOO_OLD, GROWING, UNREACHABLE = "QueueMessageTooOld", "QueueGrowing", "BrokerUnreachable"
FAILURES_BEFORE_UNREACHABLE = 3
_CLEARED_BELOW = 0.8
_QUARTERS = 4


@dataclass(frozen=True, kw_only=True)
class Rules:
    age_seconds: float
    growth_seconds: float


@dataclass(frozen=True, kw_only=True)
class Alert:
    """`queue` is empty where it is about the broker; `ends_at` is None while it is firing."""

    name: str
    queue: str
    summary: str
    starts_at: float  # seconds since the epoch
    ends_at: float | None = None


class Watch:
    """Takes what was seen, in the order of time, and answers what has changed: alerts that fire or are resolved.

    `inherited` is what a watch before this one may have told of and has not taken back. It is firing from the start,
    is told again, with its own `starts_at`, if it begins here too, for the one before may have ended before it was
    delivered, and is resolved as any other.
    """

    def __init__(self, rules: Rules, inherited: Iterable[Alert] = ()) -> None:
        self.rules = rules
        self._firing: dict[tuple[str, str], Alert] = {(alert.name, alert.queue): alert for alert in inherited}
        self._untold = set(self._firing)
        self._depths: dict[str, tuple[tuple[float, int], ...]] = {}
        self._since: dict[str, float] = {}
        self._failures = 0

    @property
    def firing(self) -> tuple[Alert, ...]:
        return tuple(self._firing.values())

    def sampled(self, sample: Sample) -> tuple[Alert, ...]:
        self._failures = 0
        changes = [*self._turn(UNREACHABLE, "", sample.at, begins=False, over=True, summary="")]
        for queue in sample.queues:
            changes += self._age(queue, sample.at)
            changes += self._growth(queue, sample.at)
        return tuple(changes)

    def failed(self, at: float) -> tuple[Alert, ...]:
        """The broker could not be asked. What was firing goes on firing: nothing is known of its end."""
        self._failures += 1
        begins = self._failures >= FAILURES_BEFORE_UNREACHABLE
        summary = f"{self._failures} samples in a row failed: nobody knows what waits in the queues"
        return tuple(self._turn(UNREACHABLE, "", at, begins=begins, over=False, summary=summary))

    def is_over(self, *, over: bool) -> bool:
        return over

    def _age(self, sample: QueueSample, at: float) -> Iterator[Alert]:
        age, limit = sample.oldest_age_seconds, self.rules.age_seconds
        summary = f"the oldest of {sample.depth} messages in {sample.queue} has waited for {age:.1f} s"
        return self._turn(
            TOO_OLD, sample.queue, at, begins=age > limit, over=age < _CLEARED_BELOW * limit, summary=summary
        )

    def _growth(self, sample: QueueSample, at: float) -> Iterator[Alert]:
        window = self.rules.growth_seconds
        # The clock may have been set back: what lies ahead of now is of no use.
        since = self._since[sample.queue] = min(at, self._since.get(sample.queue, at))
        known = (*self._depths.get(sample.queue, ()), (at, sample.depth))
        depths = self._depths[sample.queue] = tuple(each for each in known if at - window < each[0] <= at)
        quarters: list[list[int]] = [[] for _ in range(_QUARTERS)]
        for then, depth in depths:
            quarters[_QUARTERS - 1 - min(int((at - then) / window * _QUARTERS), _QUARTERS - 1)].append(depth)
        lowest = [min(quarter, default=None) for quarter in quarters]
        rising = [
            before is not None and after is not None and before < after for before, after in itertools.pairwise(lowest)
        ]
        summary = f"{sample.queue} has grown to {sample.depth} messages over the last {window:g} s"
        begins = at - since >= window and all(rising)
        over = lowest[-2] is not None and not rising[-1]
        return self._turn(GROWING, sample.queue, at, begins=begins, over=over, summary=summary)

    def _turn(self, name: str, queue: str, at: float, *, begins: bool, over: bool, summary: str) -> Iterator[Alert]:
        key = (name, queue)
        firing = self._firing.get(key)
        if begins and (firing is None or key in self._untold):
            alert = firing or Alert(name=name, queue=queue, summary=summary, starts_at=at)
            self._firing[key] = alert
            self._untold.discard(key)
            yield alert
        elif firing is not None and self.is_over(over=over):
            del self._firing[key]
            self._untold.discard(key)
            yield replace(firing, ends_at=at)
