"""What happened at a crash that was not survived, and what to do about it, in sentences."""

from harness.advice import ADVICE
from harness.boundaries.rules import Process, Side
from harness.explore.interception import Strike
from harness.explore.points import CrashPoint, Kind, Run, beside
from harness.systems.exploring import Exploring
from harness.verdict import Status, Verdict


def story_of(
    point: CrashPoint,
    seen: Run,
    strike: Strike | None,
    verdicts: tuple[Verdict, ...],
    exploring: Exploring,
    *,
    where: str = "",
) -> tuple[str, ...]:
    """What had left, what came afterwards, and the advice for the first guarantee that was violated.

    `where`: the line of the subject's code that caused the boundary.
    """
    told = [f"Crash: {point.told}, at {where}." if where else f"Crash: {point.told}."]
    if strike is not None:
        by_then = [each.boundary.told for each in strike.seen]
        if point.side is Side.BEFORE and by_then:
            by_then.pop()
        # What a main process sends for itself, as while it starts, is not the job's.
        own = [each for each in seen[len(strike.seen) :] if not each.boundary.label.startswith(beside(Process.MAIN))]
        later = [each.boundary.told for each in own]
        told.append(f"Had left by then: {', '.join(by_then) or 'nothing'}.")
        told.append(f"Came afterwards: {', '.join(later) or 'nothing'}.")
    violated = [verdict for verdict in verdicts if verdict.status is Status.VIOLATED]
    told += [f"{verdict.guarantee}: {verdict.because}." for verdict in violated]
    if not violated:
        told += [f"{each.guarantee}: {each.because}." for each in verdicts if each.status is Status.UNKNOWN][:1]
    known = {**ADVICE, **exploring.advice}
    told += [known[verdict.guarantee] for verdict in violated if verdict.guarantee in known][:1]
    if violated and point.kind is Kind.BROKER:
        told.append(exploring.broker_story)
    return tuple(told)
