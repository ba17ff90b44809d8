import ast
from collections.abc import Iterator

from harness.audit.broker import has_dead_letter_exchange
from harness.audit.finding import Answer, Rule, Severity, Subject
from harness.audit.syntax import keyword


def check(subject: Subject) -> Iterator[Answer]:
    facts = subject.facts
    own = {module.name for module in facts.modules}
    if any(receiver.module in own for receiver in facts.failure_receivers):
        return
    link = next((each for each in subject.code.calls if _has_link_error(each[0])), None)
    for task in facts.tasks:
        if "on_failure" in task.overrides or "on_failure" in (task.request_overrides or ()):
            continue
        acks = task.options.get("acks_on_failure", task.options.get("acks_on_failure_or_timeout"))
        if acks is False and task.late and has_dead_letter_exchange(facts, task):
            continue
        if task.request_overrides is None:
            yield subject.task(task, "has a request class that cannot be imported: what does it do?", unknown=True)
        elif link is not None:
            where = link[1].place(link[0])
            what = f"may be given a link_error by whoever enqueues it, as at {where}; whether all do is not known"
            yield subject.task(task, what, unknown=True)
        else:
            yield subject.task(task, "leaves nothing behind when it is given up")


def _has_link_error(call: ast.Call) -> bool:
    is_link = isinstance(call.func, ast.Attribute) and call.func.attr in {"link_error", "on_error"}
    return is_link or keyword(call, "link_error") is not None


RULE = Rule(
    name="no-dead-letter-path",
    severity=Severity.ERROR,
    failure_modes=("F67", "F70"),
    asks="a job that is given up is set aside, by code of the team's or by the broker",
    hurts="Celery acknowledges what has failed for good: the message with its arguments is gone, and a log line is all "
    "that is left",
    fix="on_failure in a base class, a task_failure receiver, or a Request class, which also sees hard limits; on "
    "RabbitMQ a dead-letter exchange with acks_on_failure_or_timeout=False",
    check=check,
)
