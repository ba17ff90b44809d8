"""What several commands are given: a contract, a folder to write to; every mistake is told in one line."""

import secrets
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import click

from harness.bad_input import BadInputError
from harness.contract import Contract, ContractError

IMPORT_SECONDS_MAX = 30.0

python_option = click.option(
    "--python",
    default="",
    metavar="PATH",
    help="The subject's Python, or the folder of its virtual environment. Default: the contract's, or else ours.",
)


def completed(path: Path, python: str, *, seed: int = 0) -> Contract:
    """The contract of a file, with what it leaves out learnt from the application and from fault-free runs.

    :raises BadInputError: it cannot be read, or its subject does not do its jobs even without a fault
    """
    contract = with_python(compiled(path, seed=seed), python)
    if contract.is_told:
        return contract
    from harness.contract_lines import located
    from harness.learning.command import learnt
    from harness.report.visible import visible
    from harness.services.broker import NoBrokerError
    from harness.system import SubjectError

    click.echo("jobproof: what the contract leaves out is learnt from two fault-free runs", err=True)
    try:
        with located(path, contract):
            return learnt(contract, path, import_seconds=IMPORT_SECONDS_MAX)
    except (SubjectError, NoBrokerError) as error:
        raise BadInputError(visible(str(error))) from error


def with_python(contract: Contract, python: str) -> Contract:
    """:raises BadInputError: there is no such Python"""
    from msgspec.structs import replace

    from harness.runtimes.subject import found_python
    from harness.system import SubjectError

    if not python:
        return contract
    try:
        return replace(contract, python=found_python(python, Path.cwd()))
    except SubjectError as error:
        raise BadInputError(str(error)) from error


def empty_directory(out: Path | None) -> Path:
    """:raises BadInputError: it holds something, or cannot be written"""
    if out is None:
        stamp = datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S")
        out = Path("reports") / f"{stamp}-{secrets.token_hex(2)}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise BadInputError(f"--out {out}: the folder is not empty; name a new one, so that no record is lost")
        probe = out / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise BadInputError(f"--out {out}: it cannot be written ({error.strerror})") from error
    return out.resolve()


def reference_contract() -> Path:
    spec = find_spec("reference_worker.contract")
    if spec is None or spec.origin is None:
        raise BadInputError("the reference worker is not installed; name a contract with --contract FILE")
    return Path(spec.origin)


def compiled(path: Path, *, seed: int = 0) -> Contract:
    from harness.contract_file import compile_contract

    try:
        return compile_contract(path, seed=seed)
    except ContractError as error:
        raise BadInputError(" ".join(str(error).split())) from error
