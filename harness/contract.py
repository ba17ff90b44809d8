"""What a team promises of each of its jobs, as pure data.

A contract is written in Python (see `docs/contract.md`), compiled once by `harness.contract_file`, and stored at the
head of every history, so that an old history can be judged without the team's code.

Strings that the subject receives (`environment`, table URLs) may hold these placeholders, filled in per lane:

* `{broker_url}`: the lane's own broker
* `{ledger_url}`: the HTTP downstream that the ledger plays, without a trailing slash
* `{smtp_url}`: the mail server that the ledger plays, `smtp://host:port`; also `{smtp_host}` and `{smtp_port}`
* `{directory}`: the lane's working directory, empty at the start of each run
* `{lane}`: a plain name that no other lane has, for what lies outside of the directory, such as a database
* `{python}`: the subject's own Python, for the commands of sidecars and workers
"""

import json
import re
import string
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import force_setattr

WORKER_NAME_CHARACTERS_MAX = 40
_PLAIN_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{WORKER_NAME_CHARACTERS_MAX - 1}}}")
WAIT_SECONDS_LIMIT = 86_400
RECOVERY_SECONDS_LIMIT = 10.0
# Their values never reach the record, so nothing can be recognised by them.
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
RESERVED_SOURCES = frozenset({"harness", "nemesis", "broker", "ledger", "observer", "baseline", "agent"})
PLACEHOLDERS = frozenset(
    {"broker_url", "ledger_url", "smtp_url", "smtp_host", "smtp_port", "directory", "lane", "python"}
)
DIRECTORY = "{directory}"
# A bound that nobody has told. It is learnt from the application's own settings and from fault-free runs.
UNTOLD = -1


# What may be drawn for one task: each is a job in every scenario.
DRAWN_MAX = 100


class ContractError(ValueError):
    """The contract says something that cannot be meant; the message is for its author."""


class Value(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of everything in a contract: immutable, keyword-only, equal by value, JSON both ways."""


class Header(Struct, frozen=True, tag="header", forbid_unknown_fields=True):
    """The value of a request header; names are case-insensitive."""

    name: str

    def __post_init__(self) -> None:
        if self.name.lower() in SECRET_HEADERS:
            raise ContractError(f"Header({self.name!r}): it holds a secret, which the record masks; name another")


class JsonField(Struct, frozen=True, tag="json", forbid_unknown_fields=True):
    """The value at a JSON pointer (RFC 6901) of a request's body, such as `/metadata/invoice_id`."""

    pointer: str

    def __post_init__(self) -> None:
        if not self.pointer.startswith("/"):
            raise ContractError(f"JsonField({self.pointer!r}): a JSON pointer starts with '/'")


class RequestPath(Struct, frozen=True, tag="path", forbid_unknown_fields=True):
    """What follows the method in a request's label: the path, or of a mail `/recipient`."""


class FormField(Struct, frozen=True, tag="form", forbid_unknown_fields=True):
    """The value of a field of an `application/x-www-form-urlencoded` body."""

    name: str


class Content(Struct, frozen=True, tag="content", forbid_unknown_fields=True):
    """All that was sent, as a digest: it tells requests apart that differ anywhere."""


class Learnt(Struct, frozen=True, tag="learnt", forbid_unknown_fields=True):
    """The identity of the job in whose fault-free runs `of` was seen to hold what it holds here."""

    of: Header | JsonField | RequestPath | FormField | Content
    jobs: dict[str, str]


Extractor: TypeAlias = Header | JsonField | RequestPath | FormField | Content | Learnt


def todo(what: str) -> Any:
    """Stands where `jobproof init` could not know; whoever uses the contract is told so, with its line.

    :raises ContractError: always
    """
    raise ContractError(f"still to be said: {what}")


class EffectivelyOnce(Struct, frozen=True, tag="effectively_once", forbid_unknown_fields=True):
    """The receiver applies what carries the same `key` once; the subject must send the same key each time."""

    key: Extractor | None = None


class AtLeastOnce(Struct, frozen=True, tag="at_least_once", forbid_unknown_fields=True):
    """The effect may repeat, but every repetition carries the same `key`, if one is named."""

    key: Extractor | None = None


class AtMostOnce(Struct, frozen=True, tag="at_most_once"):
    """The effect may be missing after a fault, but never repeats."""


Promise: TypeAlias = EffectivelyOnce | AtLeastOnce | AtMostOnce


class Effect(Value, frozen=True, kw_only=True):
    """Requests that one job causes, and how they are recognised as its own.

    `request` is `METHOD /path`; a trailing `*` matches any rest of the path. A mail over SMTP is `MAIL /recipient`, its
    headers are the request's. A request belongs to the job whose identity equals what `belongs_to` finds in it.

    `volatile`: JSON pointers of what differs from run to run in the body, which is not compared; "" is all of it.
    """

    request: str
    belongs_to: Extractor
    volatile: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        method, _, path = self.request.partition(" ")
        if not method.isupper() or not path.startswith("/"):
            raise ContractError(
                f"Effect(request={self.request!r}): expected a method and a path, as in 'POST /v1/emails'"
            )

    def matches(self, label: str) -> bool:
        if self.request.endswith("*"):
            return label.startswith(self.request[:-1])
        return label == self.request


def is_strategy(value: object) -> bool:
    """Whether it is a Hypothesis strategy; who has none need not have Hypothesis."""
    return any(kind.__name__ == "SearchStrategy" for kind in type(value).__mro__)


_TOLD_SECONDS = ("patience_seconds", "outage_seconds_max", "hard_limit_seconds")


class Poison(Value, frozen=True, kw_only=True):
    """Arguments that the task takes and with which it can never be done; `kind` says in a few words why."""

    kind: str
    arguments: dict[str, Any]


class Task(Value, frozen=True, kw_only=True):
    """One task of the subject: sample inputs, what it promises, and its bounds.

    Only `name` and `inputs` have to be told. Effects that are not told are learnt from fault-free runs, and so is what
    tells one job's from another's; bounds are taken from the application's settings. See `harness.learning`.

    * `identity`: a template over a job's keyword arguments that tells its effects from another's, as `"{invoice_id}"`
    * `inputs`: keyword arguments, one job of the workload each; they must have different identities. Or a Hypothesis
      strategy of keyword arguments, from which some are drawn with the seed of the command, when it is compiled
    * `drawn`: how many are drawn, if not 3, and afterwards how many were; 0: they were told
    * `previous_inputs`: with what the previous release asks for the job of each input, in the same order; None where it
      cannot. Empty: it asks for all of them in the same words
    * `promise`: None: not told. A repeated effect is then a violation, unless it carried the same key each time:
      whether its receiver deduplicates is not known
    * `wrong_arguments`: keyword arguments that the task cannot accept (default: one that it does not know)
    * `retries_max`: how often the task itself tries again when its downstream fails; 0: not told, and the scenarios
      that go to the edge of that budget leave the task out
    * `backoffs_seconds_min`: how long it waits at least before the first retry, the second, and so on; empty: not told
    * `worker_losses_max`: after how many deaths of its worker the job is still tried once more; one more and it is
      given up. 0: not told, and the scenario of the job that kills its worker leaves the task out
    * `attempts_max`: how often the body may start for one job, whatever happens: 1 + retries + worker losses
    * `wait_seconds_max`: from enqueued, or the last fault healed, until the job's effect or its dead letter
    * `queue`: where its messages go; tasks of one queue share its workers. Empty: not told, and it is taken to have a
      queue of its own
    * `isolated_wait_seconds_max`: the same bound while other queues are flooded and this one is not; None: not promised
    * `patience_seconds`: how long its client waits for a downstream; 0: not told
    * `outage_seconds_max`: how long its downstream may refuse every connection, without the job being given up; 0: not
      told
    * `hard_limit_seconds`: after how long the worker kills a body; 0: not told
    * `poisons`: inputs that can never be done
    * `learnt`: names of the fields that nobody told and that were learnt; of a wait that was learnt no bound is judged
    """

    name: str
    inputs: tuple[dict[str, Any], ...]
    identity: str = ""
    effects: tuple[Effect, ...] = ()
    promise: Promise | None = None
    attempts_max: int = UNTOLD
    wait_seconds_max: float = UNTOLD
    wrong_arguments: dict[str, Any] | None = None
    retries_max: int = 0
    backoffs_seconds_min: tuple[float, ...] = ()
    worker_losses_max: int = 0
    queue: str = ""
    isolated_wait_seconds_max: float | None = None
    patience_seconds: float = 0.0
    outage_seconds_max: float = 0.0
    hard_limit_seconds: float = 0.0
    poisons: tuple[Poison, ...] = ()
    previous_inputs: tuple[dict[str, Any] | None, ...] = ()
    learnt: tuple[str, ...] = ()
    drawn: int = 0

    def __post_init__(self) -> None:
        if not is_strategy(self.inputs) and not self.inputs:
            raise ContractError(
                f"Task({self.name!r}): inputs is empty; at least one set of keyword arguments is needed"
            )
        if self.identity and not self.effects:
            raise ContractError(
                f"Task({self.name!r}): effects is empty, and identity tells effects apart; leave both out, and they "
                f"are learnt"
            )
        if self.effects and not self.identity and "effects" not in self.learnt:
            raise ContractError(
                f"Task({self.name!r}): identity is empty; it tells to which job an effect belongs, as '{{order_id}}'"
            )
        if self.attempts_max < 1 and self.attempts_max != UNTOLD:
            raise ContractError(f"Task({self.name!r}): attempts_max is {self.attempts_max}; it must be at least 1")
        if not 0 < self.wait_seconds_max < WAIT_SECONDS_LIMIT and self.wait_seconds_max != UNTOLD:
            raise ContractError(
                f"Task({self.name!r}): wait_seconds_max is {self.wait_seconds_max}; "
                f"it must be above 0 and below {WAIT_SECONDS_LIMIT}"
            )
        # 20 and 20.0 are the same bound, and must have the same digest before and after they were stored.
        force_setattr(self, "backoffs_seconds_min", tuple(float(each) for each in self.backoffs_seconds_min))
        for bound in ("wait_seconds_max", "isolated_wait_seconds_max", *_TOLD_SECONDS):
            if (seconds := getattr(self, bound)) is not None:
                force_setattr(self, bound, float(seconds))
        if is_strategy(self.inputs):
            return  # what it draws is looked at when it is drawn
        identities = [self.identity_of(arguments) for arguments in self.inputs]
        if len(set(identities)) < len(identities):
            raise ContractError(f"Task({self.name!r}): two inputs have the same identity ({', '.join(identities)})")
        if self.previous_inputs and len(self.previous_inputs) != len(self.inputs):
            raise ContractError(
                f"Task({self.name!r}): previous_inputs has {len(self.previous_inputs)} entries and inputs "
                f"{len(self.inputs)}; give one for each, None where the previous release cannot ask for the job"
            )

    def identity_of(self, arguments: dict[str, Any]) -> str:
        """What tells this job's effects from another's: without a template, all of its arguments.

        :raises ContractError: the template names an argument that `arguments` lacks
        """
        if not self.identity:
            return json.dumps(arguments, sort_keys=True, default=str)
        try:
            return self.identity.format(**arguments)
        except (LookupError, AttributeError, ValueError, TypeError) as error:
            raise ContractError(
                f"Task({self.name!r}): identity template {self.identity!r} cannot be filled from "
                f"the input {arguments!r} ({type(error).__name__}: {error})"
            ) from error

    def effects_of(self, identity: str) -> tuple[Effect, ...]:
        """Those that the job of this identity can have: what was learnt is of the jobs that were seen to have it."""
        return tuple(
            each
            for each in self.effects
            if not isinstance(each.belongs_to, Learnt) or identity in each.belongs_to.jobs.values()
        )

    @property
    def is_told(self) -> bool:
        """Whether nothing of it is left to be learnt."""
        found = {
            "effects": bool(self.effects),
            "attempts_max": self.attempts_max != UNTOLD,
            "wait_seconds_max": self.wait_seconds_max != UNTOLD,
        }
        return all(is_there or name in self.learnt for name, is_there in found.items())

    def gives(self, bound: str) -> bool:
        """Whether somebody has promised it, so that it can be held against the subject."""
        return bound not in self.learnt


class Worker(Value, frozen=True, kw_only=True):
    """One worker process group of the subject; `queues` empty means the subject's own default.

    * `arguments`: further words for a Celery worker's command line
    * `command`: the whole command, where the job system does not know it; it may hold placeholders
    """

    name: str
    queues: tuple[str, ...] = ()
    concurrency: int = 2
    arguments: tuple[str, ...] = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _PLAIN_NAME.fullmatch(self.name):
            raise ContractError(f"Worker(name={self.name!r}): expected letters, digits, '-' and '_' (it names files)")
        if self.name in RESERVED_SOURCES:
            raise ContractError(f"Worker(name={self.name!r}): the record has a log of that name already; take another")
        if self.concurrency < 1:
            raise ContractError(f"Worker({self.name!r}): concurrency is {self.concurrency}; it must be at least 1")


class Sidecar(Value, frozen=True, kw_only=True):
    """A process of the subject's beside its workers, such as a monitor; `command` may hold placeholders.

    `recovers_within_seconds`: of what recovers jobs (beat, a relay, a sweeper): how long after everything else has come
    to rest it has found what there is to recover. Such a process runs in every run, and is killed and doubled. 0: it
    recovers nothing, and runs where alerts are watched.
    """

    name: str
    command: tuple[str, ...]
    recovers_within_seconds: float = 0.0

    def __post_init__(self) -> None:
        if not _PLAIN_NAME.fullmatch(self.name) or self.name in RESERVED_SOURCES:
            raise ContractError(
                f"Sidecar(name={self.name!r}): expected letters, digits, '-' and '_', and no log's name"
            )
        if not self.command:
            raise ContractError(f"Sidecar({self.name!r}): command is empty")
        if not 0 <= self.recovers_within_seconds <= RECOVERY_SECONDS_LIMIT:
            raise ContractError(
                f"Sidecar({self.name!r}): recovers_within_seconds is {self.recovers_within_seconds:g}; each run waits "
                f"for it, so let it look more often: {RECOVERY_SECONDS_LIMIT:g} s are the most"
            )
        force_setattr(self, "recovers_within_seconds", float(self.recovers_within_seconds))


class Release(Value, frozen=True, kw_only=True):
    """Other code for the same tasks: what a deploy replaces, and what is there beside the new code while it lasts.

    * `environment`: what it is started with besides the contract's own
    * `directory`: where its code is, as seen from the contract's folder; empty: where the contract's own is
    * `python`: its own Python, or the folder of its virtual environment, seen from there as well; empty: the contract's
    * `image`: its image, where the subject is one; empty: the subject's own
    """

    environment: dict[str, str] = {}
    directory: str = ""
    python: str = ""
    image: str = ""


class Alerts(Value, frozen=True, kw_only=True):
    """How the subject says that a queue is not drained: requests to the ledger, and what they must hold to.

    * `request`: `METHOD /path` of the webhook
    * `queue`, `status`: where a request names its queue and whether the alert is `firing` or `resolved`
    * `age_seconds_max`: an alert is due once a queue's oldest message is older than this
    * `fires_within_seconds`, `clears_within_seconds`: how soon after that, and after it is over
    """

    request: str
    queue: Extractor
    status: Extractor
    age_seconds_max: float
    fires_within_seconds: float
    clears_within_seconds: float
    firing: str = "firing"
    resolved: str = "resolved"

    def __post_init__(self) -> None:
        for bound in ("age_seconds_max", "fires_within_seconds", "clears_within_seconds"):
            force_setattr(self, bound, float(getattr(self, bound)))


_SQL_SCHEMES = ("sqlite:///", "postgresql://", "postgresql+psycopg://")


def _check_database(url: str) -> None:
    if not url.startswith(_SQL_SCHEMES):
        raise ContractError(f"database {url!r}: expected 'sqlite:///PATH' or 'postgresql://...'")


class SqlTable(Value, frozen=True, kw_only=True):
    """A table of the subject's own database that the harness reads after the run; `columns` are compared.

    `url` is `sqlite:///PATH` or `postgresql://…`, as SQLAlchemy has it. Leave out columns that differ from run to run
    (times, generated ids).
    """

    url: str
    table: str
    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_database(self.url)
        for name in (self.table, *self.columns):
            if not name.isidentifier():
                raise ContractError(f"SqlTable(table={self.table!r}): {name!r} is not a plain SQL name")


class FileRule(Value, frozen=True, kw_only=True):
    """Files of a folder whose names fit `name`, in which `*` stands for what differs from run to run.

    * `volatile`: what differs in their content and is not compared: JSON pointers, or lines as `#1`; "" is all of it:
      of such a file it is only asked whether anything is in it
    * `task`: whose jobs write them; empty: the folder's
    """

    name: str
    volatile: tuple[str, ...] = ()
    task: str = ""

    def fits(self, name: str) -> bool:
        return re.fullmatch(".*".join(map(re.escape, self.name.split("*"))), name, re.DOTALL) is not None


class Folder(Value, frozen=True, kw_only=True):
    """A directory of the subject's whose files are compared with the fault-free run's, by name and content.

    * `files`: what is known of some of them, the first that fits; all others have the same name and content in each run
    * `task`: whose jobs write all of them; empty: not known, or more than one task's
    """

    path: str
    task: str = ""
    files: tuple[FileRule, ...] = ()

    def __post_init__(self) -> None:
        _check_below_directory(self.path)

    def rule_of(self, name: str) -> FileRule | None:
        return next((rule for rule in self.files if rule.fits(name)), None)


def _check_below_directory(path: str) -> None:
    if not path.startswith(DIRECTORY):
        raise ContractError(
            f"files {path!r}: expected a path below {DIRECTORY}, which is empty at the start of each run; what is left "
            f"elsewhere cannot be told from what was there before"
        )


class DeadLetterTable(Value, frozen=True, kw_only=True):
    """Where the subject sets aside what it gave up on: one row a dead letter, `message` holding the message id.

    `spool` is a directory where letters wait that could not be written to the table; while a file is in it, things may
    still happen.
    """

    url: str
    table: str
    message: str
    reason: str
    body: str
    spool: str = ""

    def __post_init__(self) -> None:
        self.as_table()  # the same is asked of it

    def as_table(self) -> SqlTable:
        return SqlTable(url=self.url, table=self.table, columns=(self.message, self.reason, self.body))


class PlantedBug(Value, frozen=True, kw_only=True):
    """A known mistake that the subject can be started with, to prove that the checks would see it.

    `guarantee` is the one that must be violated; `also` those that may be violated as a consequence.
    """

    name: str
    story: str
    environment: dict[str, str]
    scenarios: tuple[str, ...]
    guarantee: str
    also: tuple[str, ...] = ()


class Contract(Value, frozen=True, kw_only=True):
    """A subject: where its application is, how it is started, and what it promises.

    `system` names the job system that it is written for (`harness.systems.SYSTEMS`). `app` is Celery's `-A` value, and
    empty for others. `prepare` (`module:function`) is called once a lane in the subject's environment
    with a list of the workload's keyword arguments, poisons included, to arrange the state that the jobs need.

    Only `app` and `tasks` have to be told for Celery.

    * `python`: the subject's own Python, or the folder of its virtual environment, as seen from the contract's folder;
      empty: ours
    * `workers`: empty: one worker for all queues that the application's tasks are routed to
    * `honours_key`: what the played downstream deduplicates on; None: it does not
    * `honours_fence`: where a request carries a number that only grows; what comes with a lower one than its path has
      seen before is refused. None: the played downstream does not know of it
    * `scratch`: directories in which nothing may be left once all is over
    * `files`: directories below `{directory}` in which files are effects: they are compared with the fault-free run's,
      and `explore` stops a job where it writes, renames, links, removes or syncs one
    * `folders`: what is known of these files; a directory that is not among them is learnt from fault-free runs
    * `databases`: URLs as in `SqlTable`: every table in them is compared, without the columns that differ between
      fault-free runs
    * `previous`: the release before this one, for the scenarios in which the messages of one meet the code of the
      other; None: not told
    """

    tasks: tuple[Task, ...]
    name: str = ""
    app: str = ""
    python: str = ""
    workers: tuple[Worker, ...] = ()
    system: str = "celery"
    environment: dict[str, str] = {}
    prepare: str = ""
    honours_key: Extractor | None = None
    honours_fence: Extractor | None = None
    sidecars: tuple[Sidecar, ...] = ()
    alerts: Alerts | None = None
    scratch: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    folders: tuple[Folder, ...] = ()
    databases: tuple[str, ...] = ()
    dead_letters: DeadLetterTable | None = None
    state: tuple[SqlTable, ...] = ()
    previous: Release | None = None
    planted_bugs: tuple[PlantedBug, ...] = ()

    def __post_init__(self) -> None:
        if not self.tasks:
            raise ContractError("Contract: tasks is empty; name at least one task")
        if not self.name:
            force_setattr(self, "name", self.app.partition(":")[0].partition(".")[0] or "subject")
        for url in self.databases:
            _check_database(url)
        for path in self.files:
            _check_below_directory(path)
        for what, names in (
            ("task", [task.name for task in self.tasks]),
            (
                "worker or sidecar",
                [worker.name for worker in self.workers] + [sidecar.name for sidecar in self.sidecars],
            ),
            ("planted bug", [bug.name for bug in self.planted_bugs]),
        ):
            if len(set(names)) < len(names):
                raise ContractError(f"Contract: a {what} is named twice ({', '.join(sorted(names))})")
        told = [task.name for task in self.tasks if task.previous_inputs]
        if told and self.previous is None:
            raise ContractError(f"Task({told[0]!r}): previous_inputs is told, and Contract.previous is not")
        for where, text in self._templates().items():
            fill(text, dict.fromkeys(PLACEHOLDERS, ""), where=where)

    def _templates(self) -> dict[str, str]:
        """Every text that a lane fills in, by the words for where it stands."""
        templates = {f"environment[{name!r}]": text for name, text in self.environment.items()}
        templates |= {f"table {table.table!r}": table.url for table in self.tables()}
        templates |= {f"scratch {path!r}": path for path in self.scratch}
        templates |= {f"files {path!r}": path for path in self.files}
        templates |= {f"folder {folder.path!r}": folder.path for folder in self.folders}
        templates |= {f"database {url!r}": url for url in self.databases}
        if self.dead_letters is not None:
            templates["spool"] = self.dead_letters.spool
        for sidecar in self.sidecars:
            templates |= {f"sidecar {sidecar.name!r}, word {n}": word for n, word in enumerate(sidecar.command)}
        for worker in self.workers:
            templates |= {f"worker {worker.name!r}, word {n}": word for n, word in enumerate(worker.command)}
        for bug in self.planted_bugs:
            templates |= {f"planted bug {bug.name!r}: {name}": text for name, text in bug.environment.items()}
        if self.previous is not None:
            templates |= {f"previous: {name}": text for name, text in self.previous.environment.items()}
        return templates

    def tables(self) -> tuple[SqlTable, ...]:
        """Every table of the subject that is read after a run."""
        return self.state if self.dead_letters is None else (*self.state, self.dead_letters.as_table())

    @property
    def is_told(self) -> bool:
        """Whether a run can be planned from it: nothing is left to be learnt."""
        is_stored = bool(self.databases or self.untold_files)
        return bool(self.workers) and not is_stored and all(task.is_told for task in self.tasks)

    @property
    def untold_files(self) -> tuple[str, ...]:
        """The directories of which it is still to be learnt what differs in them from run to run."""
        told = {folder.path for folder in self.folders}
        return tuple(path for path in self.files if path not in told)

    def recoverers(self) -> tuple[Sidecar, ...]:
        """The sidecars that are a part of how jobs are done."""
        return tuple(sidecar for sidecar in self.sidecars if sidecar.recovers_within_seconds)

    def task(self, name: str) -> Task | None:
        return next((task for task in self.tasks if task.name == name), None)


def fill(text: str, values: dict[str, str], *, where: str) -> str:
    """`text` with its placeholders replaced.

    :raises ContractError: a placeholder that no lane provides
    """
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    except ValueError as error:
        raise ContractError(f"{where}: {text!r} is not a template ({error}); write '{{{{' for a brace") from error
    if unknown := names - PLACEHOLDERS:
        known = ", ".join(f"{{{name}}}" for name in sorted(PLACEHOLDERS))
        raise ContractError(f"{where}: unknown placeholder {{{min(unknown)}}}; known are {known}")
    return text.format(**values)
