from msgspec import Struct

from harness.checkers.base import Finding, cannot_judge, named, plural
from harness.events import DONE, DeadLettered, EnqueueReturned, Event, JobId, Queued
from harness.history import History
from harness.verdict import held, unknown, violated


class DeadLettersExact(Struct, frozen=True):
    """The dead letters are exactly the jobs that had to be given up: each once, with its payload, and no other.

    A job for which both ends were open may have one, and not two.
    """

    guarantee: str = "dead-letters-exact"
    sentence: str = "Dead letters are exactly the jobs that had to be given up, each once, with its payload."

    def check(self, history: History) -> Finding:
        expected = set(history.expected_dead())
        wrong: list[str] = []
        witnesses: list[Event] = []
        if strangers := history.stranger_letters:
            wrong.append(f"{plural(len(strangers), 'dead letter')} of no job of this run: {strangers[0].message!r}")
            witnesses += strangers
        for job, found in history.letters.items():
            if not found:
                continue
            if history.enqueued[job].expected == DONE:
                wrong.append(f"{job} is a dead letter ({found[0].reason}), although it could be done")
                witnesses += found
            elif len(found) > 1:
                wrong.append(f"{job} stands {len(found)} times among the dead letters")
                witnesses += found
            bare = [letter for letter in found if not _has_payload(history, job, letter)]
            if bare:
                wrong.append(f"the dead letter of {job} does not hold the body that was delivered")
                witnesses += bare
        unjudged = cannot_judge(history)
        if not unjudged and history.contract.dead_letters is not None:
            for job in sorted(job for job in expected if not history.letters[job]):
                wrong.append(f"{job} had to be given up, and no dead letter shows it")
                witnesses += [history.accepted[job], *history.attempts[job]]
        if wrong:
            return violated(named(wrong), *witnesses)
        if unjudged:
            return unjudged
        if history.contract.dead_letters is None:
            if expected or history.expected_either():
                return unknown("the contract does not say where dead letters go, so they could not be counted")
            return held("no dead letter was expected, and the contract names no place for them")
        open_ends = [job for job in history.expected_either() if history.letters[job]]
        rest = f"; {named(open_ends)} given up, which was open" if open_ends else ""
        return held(f"{plural(len(expected), 'dead letter')} expected, found exactly{rest}")


def _has_payload(history: History, job: JobId, letter: DeadLettered) -> bool:
    """Whether the letter's body is one that was fed for its job or queued under its message id; where neither is
    known, whether it has any.
    """
    bodies = {event.body_digest for event in history.of(EnqueueReturned) if event.job == job and event.body_digest}
    if letter.message:
        bodies |= {event.body_digest for event in history.of(Queued) if event.message == letter.message}
    return letter.body_digest in bodies if bodies else letter.body_bytes > 0
