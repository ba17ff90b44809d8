"""`jobproof audit`: what is wrong with an application that can be seen without running a job."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from harness.bad_input import BadInputError
from harness.cli_types import Seconds
from harness.exit_codes import ExitCode, exit_code

if TYPE_CHECKING:  # what is only needed for the types would be felt at every other command
    from harness.audit.finding import Accepted, Audit


@click.command("audit")
@click.argument("app", metavar="APP")
@click.option(
    "--python", default="", metavar="PATH", help="The subject's Python, or its virtual environment. Default: ours."
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="For the output.",
)
@click.option("--baseline", type=click.Path(path_type=Path), metavar="FILE", help="Accepted findings, with reasons.")
@click.option(
    "--write-baseline",
    "written",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write all findings to FILE as accepted; reasons of --baseline, or of FILE itself, are kept.",
)
@click.option("--reason", default="", metavar="TEXT", help="For what --write-baseline adds. Without it, write them in.")
@click.option("--timeout", "seconds", type=Seconds(), default="30s", show_default=True, help="For the import of APP.")
def audit_command(
    app: str, python: str, format_: str, baseline: Path | None, written: Path | None, reason: str, seconds: float
) -> int:
    """Find what is wrong with the Celery application APP without running a job: its settings, its tasks, their source.

    APP is what `celery -A` takes, as shop.celery:app, or a call that makes it, as shop:make_celery(). It is imported
    in this folder, in a process of its own; nothing is written and nothing is sent.
    """
    from harness.audit import baseline as baselines
    from harness.audit.rules import CATALOGUE
    from harness.codec import UnreadableError, encode
    from harness.report import audit as report
    from harness.report import sarif

    if not app.strip():
        raise BadInputError("APP is empty; name a Celery application, as shop.celery:app")
    source = baseline or (written if written is not None and written.is_file() else None)
    if reason and written is None:
        raise BadInputError("--reason goes with --write-baseline")
    try:
        accepted = baselines.read(source) if source is not None else {}
    except UnreadableError as error:
        raise BadInputError(str(error)) from error
    audit = _audited(app, python=python, seconds=seconds, accepted=accepted)
    if written is not None:
        return _write(written, audit, reason)
    code = exit_code(audit.outcome)
    if format_ == "json":
        click.echo(msgspec.json.format(encode(audit), indent=2))
    elif format_ == "sarif":
        found = sarif.render(audit, CATALOGUE, has_baseline=baseline is not None)
        click.echo(msgspec.json.format(encode(found), indent=2))
    else:
        report.show(audit, code=code, baseline=str(baseline))
    return code


def _audited(app: str, *, python: str, seconds: float, accepted: "dict[str, Accepted]") -> "Audit":
    from harness.audit.make import make_audit
    from harness.report.visible import visible
    from harness.runtimes.subject import found_python
    from harness.system import SubjectError

    try:
        return make_audit(
            app, python=found_python(python, Path.cwd()), cwd=Path.cwd(), seconds=seconds, accepted=accepted
        )
    except SubjectError as error:
        raise BadInputError(visible(str(error))) from error


def _write(path: Path, audit: "Audit", reason: str) -> int:
    from harness.audit.baseline import write
    from harness.report.summary import counted

    try:
        baseline = write(path, audit, reason=reason)
    except OSError as error:
        raise BadInputError(f"--write-baseline {path}: it cannot be written ({error.strerror})") from error
    missing = sum(not each.reason for each in baseline.accepted)
    said = f"; write a reason for {missing} of them, or they are not accepted" if missing else ""
    click.echo(f"{path}: {counted(len(baseline.accepted), 'finding')}{said}")
    return ExitCode.HELD
