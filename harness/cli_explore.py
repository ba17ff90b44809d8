"""`jobproof explore`: every crash point of one job."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.bad_input import BadInputError
from harness.boundaries.rules import Side
from harness.cli_input import (
    LOCAL,
    completed,
    empty_directory,
    named,
    python_option,
    reference_contract,
    runtime_choice,
    runtime_options,
)
from harness.cli_types import SEED_MAX, Seconds, WholeNumber, format_option, lanes_for, lanes_option
from harness.contract import Contract
from harness.exit_codes import ExitCode
from harness.nearest import hint
from harness.system import Target

Named = TypeVar("Named")
SCHEDULES_MAX = 10_000
_WORST_FIRST = (
    ExitCode.INTERRUPTED,
    ExitCode.BAD_INPUT,
    ExitCode.VIOLATED,
    ExitCode.HARNESS_FAILED,
    ExitCode.UNKNOWN,
    ExitCode.HELD,
)


def _one_of(names: type[Named]) -> Callable[[click.Context, click.Parameter, str], tuple[Named, ...]]:
    """A callback for an option that takes some of an enumeration's values, separated by commas."""

    def chosen(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[Named, ...]:
        known = [str(value) for value in names]  # type: ignore[attr-defined]
        words = [word.strip() for word in text.split(",") if word.strip()]
        wrong = [word for word in words if word not in known]
        if wrong or not words:
            raise click.BadParameter(f"{', '.join(wrong) or 'nothing'}: expected some of {', '.join(known)}")
        return tuple(value for value in names if str(value) in words)  # type: ignore[attr-defined]

    return chosen


@click.command("explore")
@click.argument("contract_file", type=click.Path(path_type=Path), required=False, metavar="[CONTRACT]")
@python_option
@runtime_options
@click.option("--job", required=True, metavar="NAME", help="The task: its name, or the last part of it.")
@click.option("--bug", default="", metavar="NAME", help="Plant a known bug first.")
@click.option("--targets", default="child,main,group", show_default=True, callback=_one_of(Target), help="Who dies.")
@click.option("--sides", default="before,after", show_default=True, callback=_one_of(Side), help="Of each boundary.")
@click.option("--only", multiple=True, metavar="POINT", help="A crash point by its name, exactly as the report has it.")
@lanes_option("the cores")
@click.option(
    "--budget", type=Seconds(), default="60s", show_default=True, help="What is not tried by then is unknown."
)
@click.option(
    "--schedules",
    type=WholeNumber(1, SCHEDULES_MAX),
    default=None,
    metavar="N",
    help="Then N seeded schedules of several faults; a failing one is shrunk.",
)
@click.option(
    "--seed", type=WholeNumber(0, SEED_MAX), default=None, help="Of schedules and drawn inputs. Default: drawn."
)
@click.option(
    "--real-redelivery",
    is_flag=True,
    help="Leave redelivery to the job system: with Celery as slow as its visibility timeout.",
)
@click.option(
    "--interception",
    type=click.Choice(["seccomp", "proxy"]),
    default=None,
    envvar="JOBPROOF_INTERCEPTION",
    show_envvar=True,
    help="How workers are stopped. Default: the best that this machine allows.",
)
@click.option("--strict", is_flag=True, help="What the broker's own bookkeeping loses counts for the exit code, too.")
@click.option("--out", type=click.Path(path_type=Path), help="A new or empty folder. Default: one under reports/.")
@format_option
def explore_command(
    contract_file: Path | None,
    python: str,
    runtime: str,
    image: str,
    base_image: str,
    broker_image: str,
    job: str,
    bug: str,
    targets: tuple[Any, ...],
    sides: tuple[Any, ...],
    only: tuple[str, ...],
    lanes: int | None,
    budget: float,
    schedules: int | None,
    seed: int | None,
    real_redelivery: bool,
    interception: str | None,
    strict: bool,
    out: Path | None,
    format_: str,
) -> int:
    """Kill the worker at every boundary of a job, and say which crashes it survives.

    CONTRACT is a contract in Python; without one it is the reference worker's.
    """
    from harness.explore.exploration import Choice
    from harness.explore.interception import Way
    from harness.explore.stage import plan_of
    from harness.runtimes.choice import RUNTIMES

    chosen_runtime = runtime_choice(runtime, image=image, base_image=base_image, broker_image=broker_image)
    way = Way(interception) if interception is not None else None
    if way is Way.SECCOMP and (reason := RUNTIMES[runtime].unwatched()):
        raise BadInputError(f"--interception seccomp cannot be had with --runtime {runtime}: {reason}")
    if schedules is not None and runtime != LOCAL:
        raise BadInputError(f"--schedules cannot be had with --runtime {runtime}: they are run on local processes")
    path = contract_file if contract_file is not None else reference_contract()
    seed = seed if seed is not None else random.SystemRandom().randrange(SEED_MAX + 1)
    contract = completed(path, python, chosen_runtime, seed=seed)
    if bug:
        named(bug, contract.planted_bugs, "bug")
    task = _task(job, contract)
    try:
        plan = plan_of(contract, task, bug=bug, seed=seed)
    except LookupError as error:
        raise BadInputError(str(error.args[0])) from error
    choice = Choice(
        targets=targets,
        sides=sides,
        only=only,
        lanes=lanes if lanes is not None else lanes_for(),
        budget_seconds=budget,
        real_redelivery=real_redelivery,
        interception=way,
        strict=strict,
        contract_file=str(contract_file) if contract_file is not None else "",
        runtime=chosen_runtime,
    )
    from harness import cli_explored

    if schedules is not None and format_ == "json":
        raise BadInputError("--format json goes without --schedules: their result is result.json in the folder")
    directory = empty_directory(out)
    code = cli_explored.explore(plan, choice, path=path, directory=directory, format_=format_)
    if schedules is None or code not in {ExitCode.HELD, ExitCode.VIOLATED, ExitCode.UNKNOWN}:
        return code
    (directory / "schedules").mkdir()
    drawn = cli_explored.schedules(
        contract,
        path=path,
        directory=directory / "schedules",
        lanes=choice.lanes,
        job=task,
        bug=bug,
        count=schedules,
        seed=seed,
        contract_file=choice.contract_file,
    )
    return next(each for each in _WORST_FIRST if each in {code, drawn})


def _task(job: str, contract: Contract) -> str:
    """The name of the task that `job` means: its own, or the last part of it."""
    names = [task.name for task in contract.tasks]
    meant = {name: name for name in names} | {name.rpartition(".")[2]: name for name in names}
    if job not in meant:
        raise BadInputError(f"no task of the contract is called {job!r}; {hint(job, names, short=meant)}")
    return meant[job]
