"""What is armed, how often each message was seen, and how what was armed was carried out: the same for every way of
standing in between.
"""

import threading
from collections import Counter

from harness.boundaries.record import Boundary, Part, Struck
from harness.boundaries.rules import Process, Rule, Side


class Armed:
    """Thread-safe. A rule is used up by striking."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rules: dict[str, Rule] = {}
        self._struck: dict[str, Struck] = {}
        self._occurrences: Counter[tuple[Process, str, str]] = Counter()
        self.boundaries = 0  # numbered so far

    def arm(self, rule: Rule) -> None:
        with self._changed:
            self._rules[rule.rule] = rule
            self._struck.pop(rule.rule, None)

    def disarm(self, rule: str) -> None:
        with self._changed:
            self._rules.pop(rule, None)

    def reset(self) -> None:
        """Count occurrences from 1 again."""
        with self._changed:
            self._occurrences.clear()

    def number(self, process: Process, dependency: str, name: str) -> tuple[int, int]:
        """The number of a message that begins, and which occurrence of its name it is."""
        key = (process, dependency, name)
        with self._changed:
            self.boundaries += 1
            self._occurrences[key] += 1
            return self.boundaries, self._occurrences[key]

    def met(self, *, begun: Boundary | None, finished: Boundary | None) -> tuple[Rule, Boundary] | None:
        """The rule that strikes where one message ends and another begins, or begins and ends; and at which of them."""
        whole = begun if begun is not None and begun.part is Part.WHOLE else None
        sides = [(finished, Side.AFTER), (begun, Side.BEFORE), (whole, Side.AFTER)]
        for boundary, side in sides:
            if boundary is not None and (rule := self._rule(boundary, side)) is not None:
                return rule, boundary
        return None

    def _rule(self, boundary: Boundary, side: Side) -> Rule | None:
        with self._changed:
            for rule in self._rules.values():
                if (
                    (rule.name, rule.occurrence, rule.side) == (boundary.name, boundary.occurrence, side)
                    and rule.process in {None, boundary.process}
                    and rule.dependency in {"", boundary.dependency}
                ):
                    return self._rules.pop(rule.rule)
        return None

    def carried_out(self, struck: Struck) -> None:
        with self._changed:
            self._struck[struck.rule] = struck
            self._changed.notify_all()

    def struck(self, rule: str, *, within: float) -> Struck | None:
        """How the rule was carried out; None if nothing came to it in time."""
        with self._changed:
            self._changed.wait_for(lambda: rule in self._struck, timeout=within)
            return self._struck.get(rule)
