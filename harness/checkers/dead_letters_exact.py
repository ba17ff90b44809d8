from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named, plural
from harness.events import DONE, DeadLettered, Event, JobId, Queued
from harness.history import History
from harness.verdict import held, unknown, violated


class DeadLettersExact(Struct, frozen=True):
    """The dead letters are exactly the jobs that had to be given up: each once, with its payload, and no other."""

    guarantee: str = "dead-letters-exact"
    sentence: str = "Dead letters are exactly the jobs that had to be given up, each once, with its payload."

    def check(self, history: History) -> Finding:
        letters = history.of(DeadLettered)
        expected = set(history.expected_dead())
        wrong: list[str] = []
        witnesses: list[Event] = []
        by_job: dict[JobId, list[DeadLettered]] = {}
        strangers: list[DeadLettered] = []
        for letter in letters:
            owner = history.job_of(letter.message)
            (strangers if owner is None else by_job.setdefault(owner, [])).append(letter)
        if strangers:
            wrong.append(f"{plural(len(strangers), 'dead letter')} of no job of this run: {strangers[0].message!r}")
            witnesses += strangers
        for job, found in by_job.items():
            if history.enqueued[job].expected == DONE:
                wrong.append(f"{job} is a dead letter ({found[0].reason}), although it could be done")
                witnesses += found
            elif len(found) > 1:
                wrong.append(f"{job} stands {len(found)} times among the dead letters")
                witnesses += found
            bare = [letter for letter in found if not _has_payload(history, letter)]
            if bare:
                wrong.append(f"the dead letter of {job} does not hold the body that was delivered")
                witnesses += bare
        unjudged = cannot_judge(history)
        if not unjudged and history.contract.dead_letters is not None:
            for job in sorted(expected - set(by_job)):
                wrong.append(f"{job} had to be given up, and no dead letter shows it")
                witnesses += [history.accepted[job], *history.attempts[job]]
        if wrong:
            return violated(named(wrong), *witnesses)
        if unjudged:
            return unjudged
        if history.contract.dead_letters is None:
            if expected:
                return unknown("the contract does not say where dead letters go, so they could not be counted")
            return held("no dead letter was expected, and the contract names no place for them")
        return held(f"{plural(len(expected), 'dead letter')} expected, found exactly")


def _has_payload(history: History, letter: DeadLettered) -> bool:
    """Whether the letter's body is one that was queued under its message id, or the broker was not watched."""
    queued = {event.body_digest for event in history.of(Queued) if event.message == letter.message}
    return letter.body_digest in queued if queued else letter.body_bytes > 0
