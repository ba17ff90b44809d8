"""The guarantees, one a file, and how a history is judged by them.

A checker is pure: it sees a history and its own parameters, no plan, no clock, no files. To add one, write the file,
its handwritten-history tests and a planted bug that it finds, and add a line to `ALWAYS` or `BY_NAME`.
"""

from harness.checkers.alerts_fire import AlertsFire
from harness.checkers.attempts_bounded import AttemptsBounded
from harness.checkers.base import Checker
from harness.checkers.bounded_wait import BoundedWait
from harness.checkers.dead_letters_exact import DeadLettersExact
from harness.checkers.effects_once import EffectsOnce
from harness.checkers.exercised import Exercised
from harness.checkers.no_orphans import NoOrphans
from harness.checkers.nothing_lost import NothingLost
from harness.checkers.same_outcome import SameOutcome
from harness.checkers.workers_listening import WorkersListening
from harness.events import RunAborted
from harness.history import History
from harness.verdict import Status, Verdict

# What every scenario of faults is judged by.
ALWAYS: tuple[Checker, ...] = (
    NothingLost(),
    EffectsOnce(),
    SameOutcome(),
    AttemptsBounded(),
    DeadLettersExact(),
    BoundedWait(),
    WorkersListening(),
    NoOrphans(),
    Exercised(),
)
# What a scenario names where it is about it.
BY_NAME: tuple[Checker, ...] = (AlertsFire(),)
CATALOGUE: tuple[Checker, ...] = (*ALWAYS, *BY_NAME)

GUARANTEES: tuple[str, ...] = tuple(checker.guarantee for checker in ALWAYS)


def judge(history: History, catalogue: tuple[Checker, ...] = CATALOGUE) -> tuple[Verdict, ...]:
    """A verdict for each guarantee that the run put to the test, in the order of the catalogue.

    A checker that crashes, a guarantee that nobody knows, and a history that was cut answer unknown; a violation
    whose witnesses are in what is left of a cut history stands.
    """
    wanted = history.began.guarantees
    known = {checker.guarantee: checker for checker in catalogue}
    verdicts = [_judge_one(history, checker) for name, checker in known.items() if name in wanted]
    verdicts += [
        Verdict(guarantee=name, status=Status.UNKNOWN, because="no checker of this name exists in this version")
        for name in wanted
        if name not in known
    ]
    return tuple(verdicts)


def _judge_one(history: History, checker: Checker) -> Verdict:
    try:
        status, because, witnesses = checker.check(history)
    except Exception as error:  # a checker that crashes must not pass, and must not end the judging of the others
        return Verdict(
            guarantee=checker.guarantee,
            status=Status.UNKNOWN,
            because=f"the checker crashed ({type(error).__name__}: {error}); please report it with this history",
        )
    aborted = history.of(RunAborted)
    # Where the harness itself broke, what the subject did afterwards is nothing to judge it by.
    broke = any(event.blame == "harness" for event in aborted)
    if broke or (status is not Status.VIOLATED and not history.complete):
        status = Status.UNKNOWN
        cut = f"the run was aborted: {aborted[-1].because}" if aborted else "the history was cut"
        because = f"{cut}; after {len(history.events)} events: {because}"
    return Verdict(guarantee=checker.guarantee, status=status, because=because, witnesses=history.in_order(witnesses))


ALERTS_FIRE = "alerts-fire"
