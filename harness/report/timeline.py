"""One scenario's history as inline SVG: who did what, in which order, while which fault lasted.

Lanes from top to bottom: harness, nemesis, broker, one for each worker, ledger. The x axis is the order of the events;
time stretches it, but a pause takes little room however long it was, and says how long. No script, no request.
"""

import bisect
import math
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from harness.events import (
    Acknowledged,
    AnswerScripted,
    AttemptEnded,
    AttemptStarted,
    BaselineRecorded,
    CrashPointReached,
    Delivered,
    DrainTimedOut,
    EffectAbandoned,
    EffectApplied,
    EffectDeduplicated,
    EffectRefused,
    EffectRequested,
    EnqueueCalled,
    Event,
    FaultBegan,
    FaultEnded,
    FaultLanded,
    FaultMissed,
    LeftBehind,
    NodeExited,
    NodeStarted,
    Published,
    Queued,
    ReadAnswered,
    Requeued,
    RunAborted,
)
from harness.history import History
from harness.report.focus import focused
from harness.report.visible import COMMAND_LENGTH_MAX, NAME_LENGTH_MAX, visible
from harness.report.words import sentence
from harness.result import Outcome

EVENTS_MAX: Final = 400
WORKERS_MAX: Final = 8
BANDS_MAX: Final = 40

_GUTTER, _RIGHT, _PLOT_WIDTH_MIN = 104.0, 28.0, 922.0
_STRIP, _BAR, _PADDING = 28.0, 17.0, 3.0
_BAR_ROWS_MAX, _BAND_ROWS_MAX, _BAND_ROW = 6, 4, 16.0
_STEP, _STRETCH_MAX, _LONG_PAUSE_SECONDS, _LONG_PAUSE_WIDTH = 11.0, 2.2, 1.0, 64.0
_LABEL_ROOM, _LETTER, _BADGE = 58.0, 6.4, 17.0

_BROKER = (Queued, Delivered, Acknowledged, Requeued)
_LEDGER = (
    EffectRequested,
    EffectApplied,
    EffectDeduplicated,
    EffectAbandoned,
    EffectRefused,
    ReadAnswered,
    AnswerScripted,
)
_NEMESIS = (FaultBegan, FaultLanded, FaultMissed, FaultEnded, CrashPointReached)
_PROBE = (AttemptStarted, AttemptEnded, Published)
_NODE = (NodeStarted, NodeExited)


class Ring(Struct, frozen=True):
    """What marks a witness: its number in the report and whether it proves a violation or an unknown."""

    number: int
    status: Outcome


class Mark(Struct, frozen=True):
    x: float
    y: float
    shape: str  # dot, hollow, diamond, healed, square, frame, cross
    title: str
    ring: Ring | None


class Bar(Struct, frozen=True):
    x: float
    y: float
    width: float
    open: bool
    label: str
    title: str
    ring: Ring | None


class Band(Struct, frozen=True):
    x: float
    width: float
    label_x: float
    label_y: float | None  # None where there is no room for a label
    label: str
    title: str


class Lane(Struct, frozen=True):
    name: str
    y: float
    height: float


class Tick(Struct, frozen=True):
    x: float
    label: str
    pause: bool


class Drawing(Struct, frozen=True, kw_only=True):
    width: float
    height: float
    top: float
    bottom: float
    left: float
    right: float
    bar_height: float
    lanes: tuple[Lane, ...]
    bands: tuple[Band, ...]
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    left_out: int
    drawn: int


@cache
def environment() -> Environment:
    """For every template of this package: escaping, no undefined names, and filters that make hostile text visible."""
    made = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["name"] = lambda text: visible(text, NAME_LENGTH_MAX)
    made.filters["sentence"] = visible
    made.filters["command"] = lambda text: visible(text, COMMAND_LENGTH_MAX)
    return made


def key_of(event: Event) -> tuple[str, int, str]:
    """By which a witness in a result and an event of its history are known to be the same."""
    return event.source, event.seq, type(event).__name__


def render(history: History, witnesses: Mapping[tuple[str, int, str], Ring]) -> Markup:
    """A `<figure>` to be put into a page that has the report's style; all text in it is escaped.

    At most `EVENTS_MAX` events are drawn, the witnesses and what stands near them first; the caption says how many were
    left out.
    """
    focus = focused(history, frozenset(witnesses))
    drawing = draw(focus, witnesses)
    others = len(history.events) - len(focus.events)
    return Markup(environment().get_template("timeline.svg.j2").render(drawing=drawing, others=others))  # noqa: S704 - autoescaped


def draw(history: History, witnesses: Mapping[tuple[str, int, str], Ring]) -> Drawing:
    """Where everything stands, in pixels."""
    events = [event for event in history.events if not isinstance(event, BaselineRecorded)]
    chosen, lane_names = _choose(events, witnesses)
    axis = _Axis([events[index] for index in chosen], chosen, frozenset(witnesses))
    attempts = _attempts(events, history)
    rows = {
        name: _rows([each for each in attempts if each.start in axis.chosen and each.lane == name], axis)
        for name in lane_names
    }
    bands, band_rows = _bands(events, axis)
    top = _PADDING + band_rows * _BAND_ROW
    lanes, y = [], top
    for name in lane_names:
        height = _STRIP + 2 * _PADDING + _BAR * max((row + 1 for _, row in rows[name]), default=0)
        lanes.append(Lane(_short(name.split(":", 1)[1], 14), y, height))
        y += height
    by_name = dict(zip(lane_names, lanes, strict=True))
    bars = [
        _bar(attempt, row, by_name[name], axis, history, witnesses)
        for name in lane_names
        for attempt, row in rows[name]
    ]
    return Drawing(
        width=axis.right + _RIGHT,
        height=y + 26,
        top=top,
        bottom=y,
        left=_GUTTER,
        right=axis.right,
        bar_height=_BAR - 3,
        lanes=tuple(lanes),
        bands=tuple(bands),
        bars=tuple(bars),
        marks=tuple(
            Mark(
                axis.x(index),
                by_name[_lane(event)].y + _PADDING + _STRIP * 0.66,
                _shape(event),
                _title(event),
                witnesses.get(key_of(event)),
            )
            for index, event in ((index, events[index]) for index in chosen)
            if not isinstance(event, AttemptStarted | AttemptEnded)
        ),
        ticks=tuple(axis.ticks),
        left_out=len(events) - len(chosen),
        drawn=len(chosen),
    )


# --- what is drawn ---------------------------------------------------------------------------------------------------


def _lane(event: Event) -> str:
    """By what an event is, not by its source's name: a worker may be called "ledger"."""
    if isinstance(event, _BROKER):
        return "2:broker"
    if isinstance(event, _LEDGER):
        return "4:ledger"
    if isinstance(event, _NEMESIS):
        return "1:nemesis"
    if isinstance(event, _PROBE):
        return f"3:{event.source}"
    if isinstance(event, _NODE):
        return f"3:{event.node}"
    return "0:harness"


def _choose(
    events: Sequence[Event], witnesses: Mapping[tuple[str, int, str], Ring]
) -> tuple[list[int], tuple[str, ...]]:
    """The indexes of the events to draw, rising, and the lanes that they are in, from top to bottom."""
    important = [index for index, event in enumerate(events) if key_of(event) in witnesses]
    # Faults come next, but a run with very many of them must not be drawn as nothing else.
    faults = [index for index, event in enumerate(events) if isinstance(event, _NEMESIS)][: EVENTS_MAX // 4]
    near = important or faults or [0]
    first = dict.fromkeys(important, 0) | {index: 1 for index in faults if index not in important}

    def rank(index: int) -> tuple[int, int]:
        at = bisect.bisect(near, index)
        return first.get(index, 2), min(abs(index - each) for each in near[max(at - 1, 0) : at + 1])

    workers = dict.fromkeys(_lane(events[index]) for index in sorted(range(len(events)), key=rank))
    shown = [name for name in workers if name.startswith("3:")][:WORKERS_MAX]
    lanes = ("0:harness", "1:nemesis", "2:broker", *sorted(shown), "4:ledger")
    drawable = [index for index in range(len(events)) if _lane(events[index]) in lanes]
    return sorted(sorted(drawable, key=rank)[:EVENTS_MAX]), lanes


def _shape(event: Event) -> str:  # noqa: PLR0911 - one case for each shape, nothing else
    match event:
        case EffectApplied():
            return "square"
        case EffectRequested() | EffectDeduplicated() | EffectRefused():
            return "frame"
        case FaultBegan() | FaultLanded():
            return "diamond"
        case FaultEnded():
            return "healed"
        case NodeExited() | LeftBehind() | EffectAbandoned() | FaultMissed() | DrainTimedOut() | RunAborted():
            return "cross"
        case EnqueueCalled() | Queued() | NodeStarted():
            return "hollow"
        case _:
            return "dot"


def _short(text: str, limit: int) -> str:
    shown = visible(text, limit)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def _title(event: Event) -> str:
    return f"{event.at:.3f} s · {visible(event.source, 40)}:{event.seq} · {visible(sentence(event), 300)}"


# --- the axis --------------------------------------------------------------------------------------------------------


class _Axis:
    """Where each event of the history stands from left to right; one that is not drawn stands by its predecessor."""

    def __init__(self, events: Sequence[Event], chosen: list[int], witnesses: frozenset[tuple[str, int, str]]) -> None:
        self.chosen = frozenset(chosen)
        self._indexes = chosen
        pauses = [max(0.0, _finite(after.at) - _finite(before.at)) for before, after in pairwise(events)]
        # Two witnesses in a row need room for their numbers.
        least = [_BADGE if key_of(event) in witnesses else _STEP for event in events]
        widths = [max(_width(pause), room) for pause, room in zip(pauses, least[1:], strict=True)]
        stretch = min(_STRETCH_MAX, max(1.0, (_PLOT_WIDTH_MIN - 2 * _STEP) / max(sum(widths), 1.0)))
        self._x = [_GUTTER + 2 * _STEP]
        for width in widths:
            self._x.append(self._x[-1] + width * stretch)
        self.right = max(self._x[-1] + 2 * _STEP, _GUTTER + _PLOT_WIDTH_MIN)
        self.ticks = self._ticks([_finite(event.at) for event in events], pauses)

    def x(self, index: int) -> float:
        place = bisect.bisect(self._indexes, index) - 1
        if place < 0:
            return _GUTTER
        return self._x[place] if self._indexes[place] == index else self._x[place] + _STEP / 2

    def _ticks(self, times: list[float], pauses: list[float]) -> list[Tick]:
        ticks: list[Tick] = []
        free = 0.0
        for number, (x, at) in enumerate(zip(self._x, times, strict=False)):
            pause = pauses[number - 1] if number else 0.0
            if pause >= _LONG_PAUSE_SECONDS:
                middle = (self._x[number - 1] + x) / 2
                if middle - _LABEL_ROOM / 2 >= free:
                    ticks.append(Tick(middle, f"{pause:.1f} s pass", pause=True))
                    free = middle + _LABEL_ROOM / 2
            if x - _LABEL_ROOM / 2 >= free:
                ticks.append(Tick(x, f"{at:.3f} s", pause=False))
                free = x + _LABEL_ROOM / 2 + 6
        return ticks


def _finite(at: float) -> float:
    return at if math.isfinite(at) else 0.0


def _width(pause: float) -> float:
    """A step for each event; more the longer nothing happened, and room to say so for what a person would notice."""
    return _LONG_PAUSE_WIDTH if pause >= _LONG_PAUSE_SECONDS else _STEP + 8 * math.log10(1 + pause / 0.01)


# --- attempts and faults -------------------------------------------------------------------------------------------


class _Attempt(Struct, frozen=True):
    lane: str
    start: int
    end: int
    open: bool
    began: AttemptStarted
    ended: AttemptEnded | None


def _attempts(events: Sequence[Event], history: History) -> list[_Attempt]:
    """From each start of a body to its end. Without one it is open, and drawn as far as the first fault that met its
    job, or to where it must have been over: its process began another body, its message was begun again, its worker
    ended.
    """
    met = [(index, event.jobs) for index, event in enumerate(events) if isinstance(event, FaultLanded)]
    running: dict[tuple[str, str, int], tuple[int, AttemptStarted]] = {}
    found: list[_Attempt] = []

    def close(end: int, *, ended: AttemptEnded | None, over: list[tuple[str, str, int]]) -> None:
        for key in over:
            start, began = running.pop(key)
            last = end
            if ended is None:
                job = history.job_of(began.message)
                last = next((index for index, jobs in met if start < index < end and job in jobs), end)
            found.append(_Attempt(f"3:{began.source}", start, last, ended is None, began, ended))

    for index, event in enumerate(events):
        match event:
            case AttemptStarted(source=source, message=message, pid=pid):
                same = [key for key in running if (key[0] == source and key[2] == pid) or key[1] == message]
                close(index, ended=None, over=same)
                running[source, message, pid] = index, event
            case AttemptEnded(source=source, message=message, pid=pid) if (source, message, pid) in running:
                close(index, ended=event, over=[(source, message, pid)])
            case NodeExited(node=node):
                close(index, ended=None, over=[key for key in running if key[0] == node])
            case _:
                pass
    close(len(events), ended=None, over=list(running))
    return sorted(found, key=lambda each: each.start)


def _rows(attempts: list[_Attempt], axis: _Axis) -> list[tuple[_Attempt, int]]:
    """Attempts that overlap, one below the other."""
    free: list[float] = []
    placed = []
    for attempt in attempts:
        x = axis.x(attempt.start)
        row = next((row for row, at in enumerate(free) if at <= x), len(free))
        row = min(row, _BAR_ROWS_MAX - 1)
        free[row : row + 1] = [axis.x(attempt.end)]
        placed.append((attempt, row))
    return placed


def _bar(
    attempt: _Attempt,
    row: int,
    lane: Lane,
    axis: _Axis,
    history: History,
    witnesses: Mapping[tuple[str, int, str], Ring],
) -> Bar:
    x = axis.x(attempt.start)
    width = max(axis.x(attempt.end) - x, 6.0)
    job = history.job_of(attempt.began.message) or attempt.began.message
    ring = witnesses.get(key_of(attempt.began))
    if attempt.ended is not None:
        ring = ring or witnesses.get(key_of(attempt.ended))
    end = _title(attempt.ended) if attempt.ended else "no end was recorded: killed, or cut off"
    room = int((width - 8 - (16 if ring else 0)) / _LETTER)
    label = visible(job, 40)
    return Bar(
        x,
        lane.y + _PADDING + _STRIP + row * _BAR,
        width,
        attempt.open,
        label if len(label) <= room else "",
        f"{visible(job, 60)}: {_title(attempt.began)}; {end}",
        ring,
    )


def _bands(events: Sequence[Event], axis: _Axis) -> tuple[list[Band], int]:
    """A fault from its beginning to its end, and how many rows their labels take."""
    open_: dict[int, tuple[int, FaultBegan]] = {}
    spans: list[tuple[int, int, FaultBegan, str]] = []
    missed: dict[int, int] = {}
    for index, event in enumerate(events):
        match event:
            case FaultBegan(step=step):
                open_[step] = index, event
            case FaultEnded(step=step) if step in open_:
                start, began = open_.pop(step)
                spans.append((start, index, began, "" if step not in missed else " (missed)"))
            case FaultMissed(step=step):
                missed[step] = index
            case _:
                pass
    # A fault that could not even be entered has no end, only a miss; one without either lasted to the end.
    spans += [
        (start, missed.get(step, len(events)), began, " (missed)" if step in missed else ", never healed")
        for step, (start, began) in open_.items()
    ]
    bands: list[Band] = []
    free: list[float] = []
    for start, end, began, how in sorted(spans, key=lambda span: span[0])[:BANDS_MAX]:
        x = axis.x(start)
        width = max(axis.x(end) - x, 8.0)
        label = f"step {began.step + 1}: {visible(began.fault, 60)}{how}"
        label_x = max(_GUTTER, min(x, axis.right + _RIGHT - len(label) * _LETTER))
        row = next((row for row, at in enumerate(free) if at <= label_x), len(free))
        shown = row < _BAND_ROWS_MAX
        if shown:
            free[row : row + 1] = [label_x + len(label) * _LETTER + 12]
        bands.append(Band(x, width, label_x, _PADDING + row * _BAND_ROW + 11 if shown else None, label, label))
    return bands, len(free)
