from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject


def check(subject: Subject) -> Iterator[Answer]:
    tasks = subject.facts.tasks
    queues = {task.queue for task in tasks}
    if len(tasks) > 1 and len(queues) == 1 and "" not in queues:
        what = f"all {len(tasks)} tasks go to the queue {queues.pop()!r}"
        yield subject.setting("task_routes", what)


RULE = Rule(
    name="one-queue-for-all",
    severity=Severity.WARNING,
    failure_modes=("F86", "F87"),
    asks="different kinds of work have queues of their own",
    hurts="a thousand slow jobs stand in front of the urgent one, and no worker can be kept free for it",
    fix="task_routes with a queue for each kind of work, and workers with -Q for each",
    check=check,
)
