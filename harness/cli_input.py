"""What several commands are given: a contract, a folder to write to; every mistake is told in one line."""

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.bad_input import BadInputError
from harness.contract import Contract, ContractError
from harness.nearest import hint

if TYPE_CHECKING:  # what is only needed for the types would be felt at every other command
    from harness.plan import RuntimeChoice

Command = TypeVar("Command", bound=Callable[..., Any])
IMPORT_SECONDS_MAX = 30.0
LOCAL = "local"
BASE_IMAGE_VARIABLE = "JOBPROOF_BASE_IMAGE"

python_option = click.option(
    "--python",
    default="",
    metavar="PATH",
    help="The subject's Python, or the folder of its virtual environment. Default: the contract's, or else ours.",
)

_RUNTIME_OPTIONS = (
    click.option(
        "--runtime",
        type=click.Choice([LOCAL, "docker"]),
        default=LOCAL,
        show_default=True,
        help="Processes of this machine, or containers.",
    ),
    click.option("--image", default="", metavar="IMAGE", help="The subject's, for --runtime docker."),
    click.option(
        "--base-image",
        default="",
        metavar="IMAGE",
        envvar=BASE_IMAGE_VARIABLE,
        help="What jobproof's own image is built on; `machine` makes one of this machine where there is no registry.",
    ),
    click.option("--broker-image", default="", metavar="IMAGE", help="With valkey-server or redis-server in it."),
)


def runtime_options(command: Command) -> Command:
    """Where a command runs the subject; read by `runtime_choice`."""
    for option in reversed(_RUNTIME_OPTIONS):
        command = option(command)
    return command


def runtime_choice(runtime: str, *, base_image: str, **images: str) -> "RuntimeChoice":
    """:raises BadInputError: images were named, and it is not containers that are asked for"""
    from harness.plan import RuntimeChoice

    # The variable is for all commands, whichever runtime they use.
    said = runtime != LOCAL or base_image != os.environ.get(BASE_IMAGE_VARIABLE)
    chosen = RuntimeChoice(name=runtime, base_image=base_image if said else "", **images)
    if runtime == LOCAL and chosen.images:
        raise BadInputError(f"{', '.join(chosen.images)}: images are for --runtime docker")
    return chosen


def completed(path: Path, python: str, choice: "RuntimeChoice | None" = None, *, seed: int = 0) -> Contract:
    """The contract of a file, with what it leaves out learnt from the application and from fault-free runs.

    :raises BadInputError: it cannot be read, or its subject does not do its jobs even without a fault
    """
    contract = with_python(compiled(path, seed=seed), python, choice)
    if contract.is_told:
        return contract
    from harness.contract_lines import located
    from harness.learning.command import learnt
    from harness.plan import RuntimeChoice
    from harness.report.visible import visible
    from harness.runtimes.choice import NotHereError
    from harness.system import SubjectError

    click.echo("jobproof: what the contract leaves out is learnt from two fault-free runs", err=True)
    try:
        with located(path, contract):
            return learnt(contract, path, choice or RuntimeChoice(), import_seconds=IMPORT_SECONDS_MAX)
    except (SubjectError, NotHereError) as error:
        raise BadInputError(visible(str(error))) from error


def with_python(contract: Contract, python: str, choice: "RuntimeChoice | None" = None) -> Contract:
    """In containers it is the image's, and is not looked for here.

    :raises BadInputError: there is no such Python
    """
    from msgspec.structs import replace

    from harness.runtimes.subject import found_python
    from harness.system import SubjectError

    if not python:
        return contract
    if choice is not None and choice.name != LOCAL:
        return replace(contract, python=python)
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


@contextmanager
def kept_if_filled(directory: Path) -> Iterator[None]:
    """A folder in which nothing was recorded is removed again, and the one around it if that holds nothing else."""
    try:
        yield
    finally:
        with suppress(OSError):  # it holds something
            directory.rmdir()
            directory.parent.rmdir()


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


def named(name: str, among: Sequence[Any], what: str) -> Any:
    """The one of that name.

    :raises BadInputError: there is none; it says which was probably meant
    """
    for each in among:
        if each.name == name:
            return each
    meant = hint(name, [each.name for each in among])
    raise BadInputError(f"no {what} is called {name!r}; {meant} (`jobproof list {what}s`)")
