"""What was applied, which keys and fencing tokens are known, which rules are in force; whatever the protocol."""

import itertools
import json
import os
import re
import threading
import time
from collections import Counter
from typing import Any, Protocol

import msgspec

from harness.codec import encode
from harness.contract import SECRET_HEADERS, Extractor
from harness.downstream import Dripping, ErrorStatus, Late, ReplyLost, Reset, Rule, Silent
from harness.events import (
    AnswerScripted,
    EffectAbandoned,
    EffectApplied,
    EffectDeduplicated,
    EffectRefused,
    EffectRequested,
    Event,
    ReadAnswered,
)
from harness.history import extract
from harness.services.gate import ask
from harness.services.ledger.shelf import Shelf

BODY_BYTES_KEPT = 64 * 1024
BODY_BYTES_MAX = 32 * 1024 * 1024
SILENCE_SECONDS_MAX = 600.0
DRIP_SECONDS = 0.1
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_TOKEN = re.compile(r"[0-9]{1,18}", re.ASCII)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    events: str  # path of the event log
    gate: str  # path of the lane's gate
    control: str  # path of the control socket to listen on
    origin: float  # CLOCK_MONOTONIC at which the run began
    host: str = "127.0.0.1"  # where to listen
    port: int = 0  # of HTTP; 0: any that is free
    smtp: bool = True
    smtp_port: int = 0  # 0: any that is free
    honours_key: Extractor | None = None
    honours_fence: Extractor | None = None


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """One request as its protocol delivered it. `fingerprint` is the same for two sendings of the same thing."""

    label: str
    headers: dict[str, str]
    body: bytes
    fingerprint: str
    connection: str


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    status: int  # as in HTTP
    body: bytes
    content_type: str = "application/json"
    lost: ReplyLost | None = None  # it is not to be sent; the connection ends like this
    dripped: bool = False  # its beginning has been sent already


class ClientGoneError(ConnectionError):
    """Nobody waits for the reply any more."""


class Client(Protocol):
    """Who sent a request and waits for its reply."""

    def is_gone(self) -> bool: ...

    def wait_until_gone(self) -> None:
        """Until the client hangs up, at most SILENCE_SECONDS_MAX."""
        ...

    def drip(self, seconds: float) -> None:
        """Send the beginning of a reply, then a little every DRIP_SECONDS.

        :raises ClientGoneError: the client did not wait for the end
        """
        ...


class Log:
    """Appends one event a line, each with one write, before the caller goes on."""

    def __init__(self, path: str, origin: float) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._origin = origin

    def record(self, event: Event) -> None:
        stamped = msgspec.structs.replace(event, at=time.monotonic() - self._origin, source="ledger")
        os.write(self._descriptor, encode(stamped) + b"\n")


class Ledger:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log = Log(settings.events, settings.origin)
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._answers: dict[tuple[str, str], int] = {}  # (label, key) of what was applied -> number of the request
        self._highest: dict[str, int] = {}  # path -> highest fencing token
        self._shelf = Shelf(bytes_kept=BODY_BYTES_KEPT)
        self._rules: dict[str, Rule] = {}
        self._matches: Counter[str] = Counter()

    def reset(self) -> None:
        """Forget all that was applied: keys, fences, what stands at each path, how often each rule was met."""
        with self._lock:
            self._answers.clear()
            self._highest.clear()
            self._matches.clear()
            self._shelf = Shelf(bytes_kept=BODY_BYTES_KEPT)

    # --- rules ---

    def add(self, rule: Rule) -> None:
        with self._lock:
            self._rules[rule.name] = rule
            self._matches[rule.name] = 0

    def lift(self, name: str) -> None:
        with self._lock:
            rule = self._rules.pop(name, None)
            if rule is not None:
                self._matches[name] = self._met(rule)

    def uses(self, name: str) -> int:
        """How many requests a rule has met, those that it skipped not counted; known after it was lifted, too."""
        with self._lock:
            rule = self._rules.get(name)
            return self._matches[name] if rule is None else self._met(rule)

    def _met(self, rule: Rule) -> int:
        met = max(self._matches[rule.name] - rule.skip, 0)
        return met if rule.times is None else min(met, rule.times)

    def _take_rule(self, request: EffectRequested) -> Rule | None:
        with self._lock:
            for rule in self._rules.values():
                if rule.request and rule.request != request.label:
                    continue
                if rule.belongs_to is not None and extract(rule.belongs_to, request) != rule.identity:
                    continue
                before = self._met(rule)
                self._matches[rule.name] += 1
                if self._met(rule) > before:
                    return rule
        return None

    # --- requests ---

    def receive(self, incoming: Incoming, client: Client) -> Reply:
        """Decide and record one request; what to answer.

        :raises ClientGoneError: the client is not there to be answered
        """
        method, _, path = incoming.label.partition(" ")
        request = self._requested(incoming)
        token = self._token(request)
        if method in SAFE_METHODS:
            return self._read(request, path, token)
        with self._lock:
            request = msgspec.structs.replace(request, request=next(self._numbers))
        self.log.record(request)

        # Held here, a request counts as not sent yet: if its client is killed meanwhile, it never happened.
        if self._at("effect-received", request) and client.is_gone():
            self.log.record(EffectAbandoned(request=request.request, label=request.label))
            raise ClientGoneError
        rule = self._take_rule(request)
        answer = None if rule is None else rule.answer
        if rule is not None:
            self.log.record(AnswerScripted(request=request.request, rule=rule.name, answer=type(answer).__name__))
        match answer:
            case ErrorStatus(status=status):
                return _said(status, error="scripted by the harness")
            case Reset():
                return Reply(status=503, body=b"", lost=ReplyLost(reset=True))
            case Silent():
                client.wait_until_gone()
                raise ClientGoneError
            case Dripping(seconds=seconds):
                client.drip(seconds)
        reply = self._apply(request, incoming, path, token)
        if reply.status == 200:  # noqa: PLR2004 - the status that says applied
            self._at("effect-applied", request)
        match answer:
            case ReplyLost():
                return msgspec.structs.replace(reply, lost=answer)
            case Late(seconds=seconds):
                time.sleep(seconds)  # being late is what was asked for
            case Dripping():
                # A reply that began as a success cannot end as a refusal, so that one is cut off.
                lost = None if reply.status == 200 else ReplyLost(reset=False)  # noqa: PLR2004
                return msgspec.structs.replace(reply, dripped=True, lost=lost)
        return reply

    def _requested(self, incoming: Incoming) -> EffectRequested:
        shown = {n: "***" if n.lower() in SECRET_HEADERS else value for n, value in incoming.headers.items()}
        request = EffectRequested(
            request=0,
            label=incoming.label,
            key="",
            headers=shown,
            body=incoming.body[:BODY_BYTES_KEPT].decode(errors="replace"),
            fingerprint=incoming.fingerprint,
            connection=incoming.connection,
        )
        if self.settings.honours_key is not None:
            request = msgspec.structs.replace(request, key=extract(self.settings.honours_key, request) or "")
        return request

    def _token(self, request: EffectRequested) -> str | None:
        return None if self.settings.honours_fence is None else extract(self.settings.honours_fence, request)

    def _apply(self, request: EffectRequested, incoming: Incoming, path: str, token: str | None) -> Reply:
        """Apply once for each key and in the order of the fence, or say why not."""
        if token is not None and not _TOKEN.fullmatch(token):
            return _said(400, error="the fencing token is not a number")
        number, label, key = request.request, request.label, request.key
        with self._lock:
            if token is not None and not self._raise_fence(path, int(token)):
                highest = self._highest[path]
                self.log.record(EffectRefused(request=number, label=label, token=int(token), highest=highest))
                return _said(412, error="a higher fencing token has been seen", highest=highest)
            known = self._answers.get((label, key)) if key else None
            if known is not None:
                self.log.record(EffectDeduplicated(request=number, label=label, key=key))
                return _said(200, id=f"effect-{known}", duplicate=True)
            self.log.record(EffectApplied(request=number, label=label, key=key))
            if key:
                self._answers[label, key] = number
            self._shelf.apply(label, incoming.headers, incoming.body)
        return _said(200, id=f"effect-{number}", duplicate=False)

    def _read(self, request: EffectRequested, path: str, token: str | None) -> Reply:
        """What was applied at the path; no rule meets a read, and it stops at no gate."""
        with self._lock:
            if token is not None and not _TOKEN.fullmatch(token):
                reply = _said(400, error="the fencing token is not a number")
            elif token is not None and not self._raise_fence(path, int(token)):
                reply = _said(412, error="a higher fencing token has been seen", highest=self._highest[path])
            elif (thing := self._shelf.at(path)) is not None:
                reply = Reply(status=200, body=thing.body, content_type=thing.content_type)
            else:
                reply = _said(404, error="nothing was applied here")
            self.log.record(ReadAnswered(label=request.label, connection=request.connection, status=reply.status))
        return reply

    def _raise_fence(self, path: str, token: int) -> bool:
        """False if a higher token was seen at the path."""
        if token < self._highest.get(path, 0):
            return False
        self._highest[path] = token
        return True

    def _at(self, point: str, request: EffectRequested) -> bool:
        return ask(
            self.settings.gate,
            {"point": point, "node": "ledger", "pid": os.getpid(), "request": json.loads(encode(request))},
        )


def request_in(question: dict[str, Any]) -> EffectRequested:
    """The request that the ledger holds, out of what it said at the gate."""
    return msgspec.convert(question["request"], EffectRequested)


def _said(status: int, **words: Any) -> Reply:
    return Reply(status=status, body=json.dumps(words).encode())
