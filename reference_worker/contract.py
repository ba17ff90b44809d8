"""What the reference worker promises. The harness judges by this; nothing in the worker depends on it."""

from harness.contract import (
    Contract,
    DeadLetterTable,
    Effect,
    EffectivelyOnce,
    Header,
    JsonField,
    PlantedBug,
    SqlTable,
    Task,
    Worker,
)

_DATABASE = "sqlite:///{directory}/reference_worker.db"
_KILLS = ("worker-killed-child", "worker-killed-main", "worker-killed-group")


def _bug(name: str, story: str, guarantee: str, scenarios: tuple[str, ...], *also: str) -> PlantedBug:
    return PlantedBug(
        name=name,
        story=story,
        environment={"REFERENCE_WORKER_BUG": name},
        scenarios=scenarios,
        guarantee=guarantee,
        also=also,
    )


CONTRACT = Contract(
    name="reference-worker",
    app="reference_worker.app:app",
    environment={
        "REFERENCE_WORKER_BROKER_URL": "{broker_url}",
        "REFERENCE_WORKER_DATABASE_URL": _DATABASE,
        "REFERENCE_WORKER_MAIL_URL": "{ledger_url}",
        # The same steps as in production, faster: backoff 2, 4, 8, 16, 32 s, client timeout 5 s, limits 30 and 45 s.
        "REFERENCE_WORKER_BACKOFF_SECONDS": "0.05",
        "REFERENCE_WORKER_CLIENT_TIMEOUT_SECONDS": "1",
        "REFERENCE_WORKER_SOFT_LIMIT_SECONDS": "3",
        "REFERENCE_WORKER_HARD_LIMIT_SECONDS": "5",
    },
    prepare="reference_worker.prepare:prepare",
    workers=(Worker(name="notifications", queues=("notifications",), concurrency=2),),
    honours_key=Header("Idempotency-Key"),
    tasks=(
        Task(
            name="reference_worker.send_invoice_email",
            identity="{invoice_id}",
            inputs=tuple({"invoice_id": f"inv-{number}"} for number in (1001, 1002, 1003)),
            wrong_arguments={"invoice": "inv-1001"},
            effects=(Effect(request="POST /v1/emails", belongs_to=JsonField("/metadata/invoice_id")),),
            promise=EffectivelyOnce(key=Header("Idempotency-Key")),
            retries_max=5,
            attempts_max=1 + 5 + 2,  # the first, the retries, two lost workers
            wait_seconds_max=12.0,  # five silences and their backoffs take seven
        ),
    ),
    dead_letters=DeadLetterTable(
        url=_DATABASE, table="dead_letters", message="message_id", reason="reason", body="body"
    ),
    state=(SqlTable(url=_DATABASE, table="invoices", columns=("invoice_id", "email_state")),),
    planted_bugs=(
        _bug(
            "early-ack",
            "the message is acknowledged before the body runs: a crash loses the job",
            "nothing-lost",
            _KILLS,
            "same-outcome",
        ),
        _bug(
            "late-ack-only",
            "late acknowledgement without reject-on-worker-lost: a dead pool child's job is acknowledged",
            "nothing-lost",
            ("worker-killed-child",),
            "same-outcome",
        ),
        _bug(
            "check-then-send",
            "look, send, record, without a key: a crash after the sending sends again",
            "effects-once",
            ("killed-between-effect-and-record", "delivered-twice-at-once"),
        ),
        _bug(
            "key-from-task-id",
            "the key is the message's and not the invoice's: the same work in two messages is done twice",
            "effects-once",
            ("submitted-twice-at-once",),
        ),
        _bug(
            "key-in-memory",
            "the key is made up and remembered by the process: it dies with it",
            "effects-once",
            ("killed-between-effect-and-record",),
        ),
        _bug(
            "no-client-timeout",
            "the request has no timeout: a silent downstream holds the worker until the soft limit, each time",
            "bounded-wait",
            ("downstream-silent",),
        ),
        _bug(
            "no-time-limit",
            "neither a soft nor a hard limit: a downstream that drips holds the worker for as long as it likes",
            "bounded-wait",
            ("downstream-drips",),
        ),
        _bug(
            "soft-limit-swallowed",
            "`except Exception` around the work takes the soft limit for a failed try: the hard limit ends the job",
            "dead-letters-exact",
            ("downstream-drips",),
            "same-outcome",
        ),
        _bug(
            "one-retry-too-few",
            "the first attempt is counted as a retry: the job is given up one try too early",
            "dead-letters-exact",
            ("downstream-fails-then-works", "downstream-silent"),
            "same-outcome",
        ),
        _bug(
            "retry-without-bound",
            "retried for ever: it never becomes a dead letter that somebody could see",
            "attempts-bounded",
            ("job-that-always-fails",),
        ),
        _bug(
            "dead-letter-without-payload",
            "the dead letter tells that something was given up, but not what",
            "dead-letters-exact",
            ("job-that-always-fails", "job-with-wrong-arguments"),
        ),
        _bug(
            "mark-before-send",
            "record, then send: a crash in between sends nothing, for ever",
            "nothing-lost",
            _KILLS,
            "same-outcome",
        ),
        _bug(
            "poison-swallowed",
            "what has failed for good is acknowledged and gone, without a dead letter",
            "dead-letters-exact",
            ("job-that-always-fails", "job-with-wrong-arguments"),
            "nothing-lost",
        ),
    ),
)
