from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject


def check(subject: Subject) -> Iterator[Answer]:
    facts = subject.facts
    storing = [task for task in facts.tasks if not task.options.get("ignore_result")]
    if facts.result_backend not in {"", "disabled", "rpc"} and storing and not facts.settings.get("result_expires"):
        yield subject.setting("result_expires", "results are kept for ever (result_expires is off)")


RULE = Rule(
    name="results-kept-for-ever",
    severity=Severity.WARNING,
    failure_modes=("F42", "F92"),
    asks="results expire",
    hurts="the result backend grows until it is full, and then every job fails at its end, after its effect",
    fix="result_expires in seconds; for a database backend also `celery beat`, which runs the clean-up",
    check=check,
)
