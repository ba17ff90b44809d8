from collections.abc import Iterator

from harness.audit.broker import redelivery_of, untold
from harness.audit.finding import Answer, Rule, Severity, Subject


def check(subject: Subject) -> Iterator[Answer]:
    redelivery = redelivery_of(subject.facts)
    # What has no limit is another rule's finding.
    limited = [(task, hard) for task in subject.facts.tasks if task.late and (hard := task.seconds("time_limit"))]
    if redelivery is None and limited:
        yield subject.setting("broker_url", untold(subject.facts), unknown=True)
    for task, hard in limited:
        if redelivery is not None and hard >= redelivery.seconds:
            what = f"may run for {hard:g} s, which is not below {redelivery.because}"
            yield subject.task(task, what, unknown=not redelivery.known)


RULE = Rule(
    name="limit-beyond-redelivery",
    severity=Severity.ERROR,
    failure_modes=("F28", "F30"),
    asks="a hard limit is shorter than the time after which the broker hands the message out again",
    hurts="the job is given to a second worker while the first still works on it, and both finish: nothing has "
    "failed, and everything is done twice, again and again",
    fix="a shorter time_limit, or a longer visibility_timeout in broker_transport_options (on RabbitMQ: "
    "consumer_timeout)",
    check=check,
)
