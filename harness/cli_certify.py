"""`jobproof init` and `jobproof certify`: a team's own tasks, unchanged, in their own environment."""

import random
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.bad_input import BadInputError
from harness.cli_input import (
    IMPORT_SECONDS_MAX,
    compiled,
    empty_directory,
    kept_if_filled,
    python_option,
    reference_contract,
    runtime_choice,
    runtime_options,
    with_python,
)
from harness.cli_types import SEED_MAX, Seconds, WholeNumber, format_option, lanes_for, lanes_option
from harness.exit_codes import ExitCode, exit_code

if TYPE_CHECKING:  # what is only needed for the types would be felt at every other command
    from harness.audit.finding import Accepted
    from harness.certificate.statement import Control
    from harness.certify.certify import Asked
    from harness.certify.result import Certification
    from harness.runtimes.runtime import Runtime
    from harness.session import Session

CONTRACT_FILE = "jobproof_contract.py"
DAYS_MAX = 3660
_seconds = click.option(
    "--timeout",
    "seconds",
    type=Seconds(),
    default=f"{IMPORT_SECONDS_MAX:g}s",
    show_default=True,
    help="For the import of the application.",
)


@click.command("init")
@click.argument("app", metavar="APP")
@python_option
@click.option("--out", type=click.Path(path_type=Path), default=CONTRACT_FILE, show_default=True, metavar="FILE")
@_seconds
def init_command(app: str, python: str, out: Path, seconds: float) -> int:
    """Write a contract for the Celery application APP: every task found, and a TODO for what only you can say.

    APP is what `celery -A` takes, as shop.celery:app. It is imported in this folder, in a process of its own.
    """
    from harness.audit.code import Code
    from harness.audit.survey import survey
    from harness.certify.initial import contract_text
    from harness.contract_lines import todos_in
    from harness.report.summary import counted
    from harness.report.visible import visible
    from harness.runtimes.subject import found_python
    from harness.system import SubjectError

    if out.exists():
        raise BadInputError(f"--out {out}: there is such a file already; name another, so that nothing is lost")
    try:
        facts = survey(app, python=found_python(python, Path.cwd()), cwd=Path.cwd(), seconds=seconds)
    except SubjectError as error:
        raise BadInputError(visible(str(error))) from error
    if not facts.tasks:
        raise BadInputError(f"{app} has no task of its own; is the module imported that has them?")
    text = contract_text(app, facts, Code(facts, Path.cwd()), python=python)
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"--out {out}: it cannot be written ({error.strerror})") from error
    todos = todos_in(out)
    click.echo(f"{out}: {counted(len(facts.tasks), 'task')}, {len(todos)} left to say")
    for each in todos:
        click.echo(f"  {out}:{each.line}: {visible(each.what)}")
    click.echo(f"then: jobproof certify {out} --profile quick")
    return ExitCode.HELD


@click.command("certify")
@click.argument("contract_file", type=click.Path(path_type=Path), metavar="CONTRACT")
@click.option(
    "--profile",
    "profile_name",
    type=click.Choice(["quick", "core", "full"]),
    default="core",
    show_default=True,
    help="How much is asked: half a minute for a task or two, what runs on every change, or everything.",
)
@python_option
@runtime_options
@click.option("--seed", type=WholeNumber(0, SEED_MAX), default=None, help="Default: drawn, and printed.")
@lanes_option("the cores, with docker half of them")
@click.option("--out", type=click.Path(path_type=Path), help="A new or empty folder. Default: one under reports/.")
@click.option("--baseline", type=click.Path(path_type=Path), metavar="FILE", help="Accepted findings of the audit.")
@format_option
@_seconds
@click.option(
    "--certificate", type=click.Path(path_type=Path), metavar="FILE", help="Write a signed certificate, or say why not."
)
@click.option("--accept", multiple=True, metavar="NAME", help="A finding that the certificate is given in spite of.")
@click.option(
    "--signing-key", "key_file", type=click.Path(path_type=Path), metavar="FILE", help="Default: one of your own, made."
)
@click.option(
    "--days", type=WholeNumber(1, DAYS_MAX), default=30, show_default=True, help="Until the certificate expires."
)
def certify_command(
    contract_file: Path,
    profile_name: str,
    python: str,
    runtime: str,
    image: str,
    base_image: str,
    broker_image: str,
    seed: int | None,
    lanes: int | None,
    out: Path | None,
    baseline: Path | None,
    format_: str,
    seconds: float,
    certificate: Path | None,
    accept: tuple[str, ...],
    key_file: Path | None,
    days: int,
) -> int:
    """Judge a team's own tasks, unchanged: audit, scenarios that apply, crash points of each task, one verdict.

    CONTRACT is a contract in Python, as `jobproof init` writes it. What it leaves out is learnt.
    """
    from harness import cli_deployed
    from harness.audit.rules import CATALOGUE as RULES
    from harness.certify.certify import Asked, Certifier
    from harness.certify.files import write
    from harness.certify.profiles import PROFILES
    from harness.contract_lines import located
    from harness.report import certification as report
    from harness.runtimes.choice import RUNTIMES
    from harness.session import open_session
    from scenarios import CATALOGUE, FAULT_FREE

    if _told_what_is_left(contract_file):
        return ExitCode.BAD_INPUT
    if certificate is None and accept:
        raise BadInputError("--accept goes with --certificate; --baseline accepts findings of the audit")
    seed = seed if seed is not None else random.SystemRandom().randrange(SEED_MAX + 1)
    choice = runtime_choice(runtime, image=image, base_image=base_image, broker_image=broker_image)
    contract = with_python(compiled(contract_file, seed=seed), python, choice)
    asked = Asked(
        contract_file=str(contract_file),
        profile=next(each for each in PROFILES if each.name == profile_name),
        seed=seed,
        # Much of it is exploration, which waits for nothing: a lane more than cores would only be in the way.
        lanes=lanes if lanes is not None else lanes_for(lambda cores: min(cores, RUNTIMES[runtime].lanes(cores))),
        import_seconds=seconds,
        accepted=_accepted(baseline),
        twin=FAULT_FREE,
        catalogue=CATALOGUE,
        rules=RULES,
        runtime=choice,
    )

    def opened(session: "Session") -> "AbstractContextManager[Runtime]":
        return cli_deployed.opened(choice, session, path=contract_file, named=True)

    directory = empty_directory(out)
    with (
        cli_deployed.told_in_one_line(),
        kept_if_filled(directory) if out is None else nullcontext(),
        report.progress(contract, asked.profile.name, seed=asked.seed, quiet=format_ == "json") as listener,
        open_session(in_memory=True) as session,
        opened(session) as there,
    ):
        certifier = Certifier(
            contract,
            asked,
            directory=directory,
            session=session,
            runtime=there,
            again=opened,
            listener=listener,
        )
        with located(contract_file, contract):
            found = certifier.carry_out()
        if certificate is not None:
            listener.began("planted-bug controls")
        controls = _controls(asked, directory=directory) if certificate is not None else ()
    write(directory, found)
    code = exit_code(found.outcome, harness_failed=bool(certifier.harness_failures))
    if format_ == "json":
        click.echo((directory / "certify.json").read_bytes().rstrip())
    else:
        report.show(found, directory=directory, code=code)
    for failure in certifier.harness_failures:
        click.echo(f"jobproof: the harness failed in {failure}", err=True)
    if certificate is not None:
        issued = _issued(
            certificate,
            found,
            directory=directory,
            contract_file=contract_file,
            python=contract.python,
            controls=controls,
            accepted=accept,
            key_file=key_file,
            days=days,
        )
        # A finding that was accepted by name does not stand against the certificate that names it.
        code = ExitCode.HELD if issued and not certifier.harness_failures else code
    # Lanes of an exploration that the subject broke off may still wait for what will never come.
    return cli_deployed.leave(code) if certifier.unexplored else code


def _told_what_is_left(contract_file: Path) -> bool:
    """Whether anything is left to say, and that it was said, a line for each."""
    from harness.contract_lines import todos_in
    from harness.report.visible import visible

    todos = todos_in(contract_file)
    for each in todos:
        click.echo(f"jobproof: error: {contract_file}:{each.line}: still to be said: {visible(each.what)}", err=True)
    return bool(todos)


def _controls(asked: "Asked", *, directory: Path) -> "tuple[Control, ...]":
    """In the same kind of place, and of the reference worker's own image where there are images."""
    from msgspec.structs import replace

    from harness.certify.controls import campaigns, run_controls
    from harness.cli_deployed import opened
    from harness.session import open_session

    path = reference_contract()
    choice = replace(asked.runtime, image="")
    with open_session(in_memory=True) as session, opened(choice, session, path=path, named=False) as runtime:
        return run_controls(
            compiled(path),
            seed=asked.seed,
            directory=directory,
            carry_out=campaigns(lanes=asked.lanes, session=session, runtime=runtime),
            twin=asked.twin,
            catalogue=asked.catalogue,
        )


def _issued(certificate: Path, found: "Certification", *, key_file: Path | None, **words: Any) -> bool:
    """Whether a certificate was written; that it was, or why not, is said."""
    from harness.certificate.issue import issue
    from harness.certificate.keys import KeyFileError, default_path
    from harness.report.visible import visible

    try:
        refused = issue(certificate, found, key_file=key_file or default_path(), **words)
    except KeyFileError as error:
        raise BadInputError(str(error)) from error
    except OSError as error:
        raise BadInputError(f"--certificate {certificate}: it cannot be written ({error.strerror})") from error
    if refused:
        click.echo(f"no certificate: {'; '.join(visible(each) for each in refused)}", err=True)
        return False
    click.echo(f"certificate: {certificate}", err=True)
    return True


@click.command("verify")
@click.argument("certificate", type=click.Path(path_type=Path), metavar="CERTIFICATE")
@click.option("--key", "key_file", type=click.Path(path_type=Path), metavar="FILE", help="The public key to trust.")
def verify_command(certificate: Path, key_file: Path | None) -> int:
    """Is the certificate genuine, and does it still speak of the code in this folder?

    tampered: not what was signed; stale: of other code, or expired; intact: as it was signed; with --key genuine.
    """
    from harness.certificate.digests import IMAGE
    from harness.certificate.keys import KeyFileError, public_key
    from harness.certificate.verify import verify
    from harness.codec import UnreadableError
    from harness.report.visible import visible

    try:
        checked = verify(certificate, key=public_key(key_file) if key_file is not None else None)
    except (UnreadableError, KeyFileError) as error:
        raise BadInputError(visible(str(error))) from error
    click.echo(f"{checked.state}: {'; '.join(visible(each) for each in checked.because)}")
    if checked.certified is not None:
        own = checked.certified
        click.echo(f"  profile {visible(own.profile)}, issued {visible(own.issued)}, expires {visible(own.expires)}")
        if image := own.digests.get(IMAGE):
            click.echo(f"  of the image sha256:{visible(image)}: compare it with the one that is deployed")
        click.echo(f"  {'contained: there was no way out' if own.contained else 'not contained'}")
        for each in own.accepted:
            click.echo(f"  accepted: {visible(each.name)} {each.status}: {visible(each.because)}")
        for sample in own.sampled:
            click.echo(f"  drawn: {visible(sample.told)}")
        click.echo(f"  not covered: {' '.join(visible(each) for each in own.not_covered)}")
    return ExitCode.HELD if checked.state in {"genuine", "intact"} else ExitCode.VIOLATED


def _accepted(baseline: Path | None) -> "dict[str, Accepted]":
    from harness.audit import baseline as baselines
    from harness.codec import UnreadableError

    try:
        return baselines.read(baseline) if baseline is not None else {}
    except UnreadableError as error:
        raise BadInputError(str(error)) from error
