"""`jobproof init`: a contract with what the audit's facts tell, and a marked line for what is left to say. Pure."""

import re
from collections.abc import Iterator

from harness.audit.code import Code
from harness.audit.facts import Facts, TaskFacts
from harness.contract import UNTOLD
from harness.learning.settings import attempts_of, limit_of

_KINDS_WITHOUT_VALUE = frozenset({"VAR_POSITIONAL", "VAR_KEYWORD"})
_READS = frozenset({"os.environ.get", "os.getenv", "environ.get", "getenv"})
_SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|(?:^|_)KEY", re.IGNORECASE)
# What a variable that is called so is set to, the first that fits. What Celery itself reads is always set.
_GUESSES: tuple[tuple[str, str], ...] = (
    (r"BROKER", "{broker_url}"),
    (r"(SMTP|MAIL).*HOST", "{smtp_host}"),
    (r"(SMTP|MAIL).*PORT", "{smtp_port}"),
    (r"(SMTP|MAIL).*(URL|URI|DSN)", "{smtp_url}"),
    (r"(DATABASE|DB|SQL).*(URL|URI|DSN)|^DATABASE$", "sqlite:///{directory}/app.db"),
    (r"RESULT_BACKEND|REDIS.*(URL|URI)", "{broker_url}"),
    (r"(URL|URI|ENDPOINT|API|HOST)$", "{ledger_url}"),
)
_OF_CELERY = re.compile(r"CELERY_BROKER_(READ_|WRITE_)?URL")


def contract_text(app: str, facts: Facts, code: Code, *, python: str) -> str:
    """The source of a contract for every task that stands in the team's own code."""
    own = [task for task in facts.tasks if task.own] or list(facts.tasks)
    environment = "".join(_variables(code))
    lines = [
        '"""What is promised of the jobs of ' + _plain(app) + ", for `jobproof certify`.",
        "",
        "`todo(...)` marks what only you can say. A task that you take out is told as not covered.",
        '"""',
        "",
        "from harness.contract import Contract, Header, Task, todo",
        "",
        "CONTRACT = Contract(",
        f"    app={literal(app)},",
    ]
    lines += [f"    python={literal(python)},"] if python else []
    lines += [
        '    # prepare="module:function",  # called with the inputs, where jobs need rows or files to begin with',
        '    # databases=("sqlite:///{directory}/app.db",),  # whose tables are compared, where jobs write to some',
        '    # honours_key=Header("Idempotency-Key"),  # where a receiver applies what carries the same key only once',
        '    # files=("{directory}/exports",),  # whose files are compared, where jobs write some',
        "    environment={  # how the subject is pointed at the played downstream, which sees what its jobs do",
        *environment.splitlines(),
        "    },",
        "    tasks=(",
    ]
    for task in own:
        lines += _task(task, code)
    lines += ["    ),", ")"]
    return "\n".join(lines) + "\n"


def _task(task: TaskFacts, code: Code) -> Iterator[str]:
    yield "        Task("
    yield f"            name={literal(task.name)},  # {_plain(str(code.place_of_task(task)))}"
    wanted = [each.name for each in task.parameters if each.kind not in _KINDS_WITHOUT_VALUE]
    if wanted:
        example = ", ".join(f'"{name}": ...' for name in wanted)
        yield f"            inputs=todo({literal(f'keyword arguments of two jobs or more, as ({{{example}}}, ...)')}),"
    else:
        yield "            inputs=({},),"
    if task.queue and not task.queue_error:
        yield f"            queue={literal(task.queue)},"
    if (attempts := attempts_of(task)) != UNTOLD:
        yield f"            attempts_max={attempts},  # 1, its retries, and two deaths of its worker"
    else:
        yield '            attempts_max=todo("its retries have no bound; how often may a job be tried at most?"),'
    if limit := limit_of(task):
        yield f"            hard_limit_seconds={limit},"
    yield "        ),"


def _variables(code: Code) -> Iterator[str]:
    """What the team's code reads from its environment, as far as names tell; secrets get a value that is none."""
    found: dict[str, str] = {}
    for site in code.calls:
        dotted = code.dotted(site.call.func, site.module, site.within) or ""
        if dotted in _READS and site.call.args:
            _note(found, site.call.args[0], str(site.module.place(site.call)))
    for module in code.modules.values():
        for node in code.subscripts(module):
            if (code.dotted(node.value, module) or "") in {"os.environ", "environ"}:
                _note(found, node.slice, str(module.place(node)))
    for name, place in found.items():
        guess = next((value for pattern, value in _GUESSES if re.search(pattern, name, re.IGNORECASE)), None)
        if _SECRET.search(name):
            guess = "none"
        value = literal(guess) if guess is not None else f"todo({literal(f'what {name} is set to in a test')})"
        yield f"        {literal(name)}: {value},  # {_plain(place)}\n"


def _note(found: dict[str, str], node: object, place: str) -> None:
    name = getattr(node, "value", None)
    if isinstance(name, str) and name.isidentifier() and not _OF_CELERY.fullmatch(name):
        found.setdefault(name, place)


def literal(value: str) -> str:
    """A literal, whatever is in it; in double quotes where it holds none."""
    written = ascii(value)
    return written if '"' in value else f'"{written[1:-1]}"'


def _plain(value: str) -> str:
    """Words for a comment or a docstring: on one line, and ending nothing."""
    return "".join(each if each.isprintable() and each not in '"\\' else "?" for each in value)
