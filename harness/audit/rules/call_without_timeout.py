import ast
from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject
from harness.audit.syntax import has_splat, is_none, keyword

_VERBS = ("get", "post", "put", "patch", "delete", "head", "options", "request")
_SESSIONS = ("requests.Session()", "requests.session()", "requests.sessions.Session()")
_BY_KEYWORD = 99
# Where the timeout stands among the positional arguments.
_REQUESTS = {f"{owner}.{verb}": _BY_KEYWORD for owner in ("requests", *_SESSIONS) for verb in _VERBS}
_SOCKETS = {
    "urllib.request.urlopen": 2,
    "smtplib.SMTP": 3,
    "smtplib.SMTP_SSL": _BY_KEYWORD,
    "smtplib.LMTP": _BY_KEYWORD,
    "socket.create_connection": 1,
    "http.client.HTTPConnection": 2,
    "http.client.HTTPSConnection": _BY_KEYWORD,
    "ftplib.FTP": 4,
    "imaplib.IMAP4": 2,
    "imaplib.IMAP4_SSL": _BY_KEYWORD,
    "poplib.POP3": 2,
    "poplib.POP3_SSL": _BY_KEYWORD,
}
# These have a timeout unless they are told otherwise.
_HTTPX = frozenset(
    {f"httpx.{name}" for name in (*_VERBS, "stream", "Client", "AsyncClient")}
    | {f"httpx.{client}().{verb}" for client in ("Client", "AsyncClient") for verb in (*_VERBS, "stream")}
)


def check(subject: Subject) -> Iterator[Answer]:
    code = subject.code
    calls = code.calls
    has_default = any(code.dotted(each[0].func, *each[1:]) == "socket.setdefaulttimeout" for each in calls)
    for call, module, within in calls:
        name = code.dotted(call.func, module, within) or ""
        position = _REQUESTS.get(name, None if has_default else _SOCKETS.get(name))
        given = keyword(call, "timeout")
        if given is None and position is not None and position < len(call.args):
            given = call.args[position]
        if is_none(given) and (position is not None or name in _HTTPX):
            yield subject.call(call, module, within, f"{name} is called with timeout=None")
        elif given is None and position is not None:
            # Arguments that cannot be seen may have one, and so may an adapter that the session was given.
            unknown = has_splat(call) or (name.startswith(_SESSIONS) and _mounts(module.tree))
            yield subject.call(call, module, within, f"{name} is called without a timeout", unknown=unknown)


def _mounts(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr == "mount" for node in ast.walk(tree))


RULE = Rule(
    name="call-without-timeout",
    severity=Severity.ERROR,
    failure_modes=("F53", "F73"),
    asks="a network call has a timeout",
    hurts="a peer that says nothing keeps the worker until its limit ends the job, slot after slot, until nobody works",
    fix="timeout=seconds, below the soft time limit",
    check=check,
    reads="modules",
)
