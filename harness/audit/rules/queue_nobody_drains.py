from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject


def check(subject: Subject) -> Iterator[Answer]:
    declared = subject.facts.queues
    for task in subject.facts.tasks:
        if task.queue_error.startswith(("QueueNotFound", "celery.exceptions.QueueNotFound")):
            yield subject.task(task, f"cannot be enqueued: {task.queue_error}")
        elif task.queue_error:
            yield subject.task(task, f"cannot be routed without its arguments: {task.queue_error}", unknown=True)
        elif declared is not None and task.queue not in declared:
            known = ", ".join(sorted(declared))
            yield subject.task(task, f"goes to the queue {task.queue!r}, which is not one of task_queues ({known})")


RULE = Rule(
    name="queue-nobody-drains",
    severity=Severity.ERROR,
    failure_modes=("F22", "F50", "F88"),
    asks="every task goes to a queue that is declared",
    hurts="a queue that is only named by a route is made on the fly, and no worker that reads task_queues listens "
    "to it",
    fix="declare the queue in task_queues, or correct the route; task_create_missing_queues=False makes it an error",
    check=check,
)
