from collections import Counter

from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named, plural
from harness.events import DeadLettered, Event, Queued
from harness.history import History
from harness.verdict import held, unknown, violated


class DeadLettersExact(Struct, frozen=True):
    """The dead letters are exactly the jobs that had to be given up: each once, with its payload, and no other."""

    guarantee: str = "dead-letters-exact"
    sentence: str = "Dead letters are exactly the jobs that had to be given up, each once, with its payload."

    def check(self, history: History) -> Finding:
        letters = history.of(DeadLettered)
        expected = set(history.expected_dead())
        if history.contract.dead_letters is None:
            if expected:
                return unknown("the contract does not say where dead letters go, so they could not be counted")
            return held("no dead letter was expected, and the contract names no place for them")
        if unjudged := cannot_judge(history):
            return unjudged
        count = Counter(history.job_of(letter.message) for letter in letters)
        wrong: list[str] = []
        witnesses: list[Event] = []
        for job in history.accepted:
            found = [letter for letter in letters if history.job_of(letter.message) == job]
            if job in expected and count[job] == 0:
                wrong.append(f"{job} had to be given up, and no dead letter shows it")
                witnesses += [history.accepted[job], *history.attempts[job]]
            elif job in expected and count[job] > 1:
                wrong.append(f"{job} stands {count[job]} times among the dead letters")
            elif job not in expected and count[job]:
                wrong.append(f"{job} is a dead letter ({found[0].reason}), although it could be done")
            witnesses += found if count[job] != (job in expected) else []
            for letter in found:
                if not _has_payload(history, letter):
                    wrong.append(f"the dead letter of {job} does not hold the body that was delivered")
                    witnesses.append(letter)
        strangers = [letter for letter in letters if history.job_of(letter.message) is None]
        if strangers:
            wrong.append(f"{plural(len(strangers), 'dead letter')} of no job of this run: {strangers[0].message!r}")
            witnesses += strangers
        if wrong:
            return violated(named(wrong), *witnesses)
        return held(f"{plural(len(expected), 'dead letter')} expected, found exactly")


def _has_payload(history: History, letter: DeadLettered) -> bool:
    """Whether the letter's body is one that was queued under its message id, or the broker was not watched."""
    queued = {event.body_digest for event in history.of(Queued) if event.message == letter.message}
    return letter.body_digest in queued if queued else letter.body_bytes > 0
