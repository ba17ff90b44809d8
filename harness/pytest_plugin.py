"""`pytest --jobproof jobproof_contract.py`: each guarantee of each scenario is a test.

Light to import: what runs anything is imported when the first of these tests runs. They know no fixture. A scenario is
run once, when the first of its guarantees is asked for; with xdist use `--dist loadgroup`, which keeps it together.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.certify.scenarios import ScenarioRunner
    from harness.result import GuaranteeResult, ScenarioResult

PROFILES = ("quick", "core", "full")
_RUNNERS: "pytest.StashKey[dict[Path, ScenarioRunner]]" = pytest.StashKey()


class NotHeldError(AssertionError):
    """A guarantee was violated, or could not be judged; the message is the report."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("jobproof", "chaos testing of job workers")
    group.addoption(
        "--jobproof",
        action="append",
        default=[],
        metavar="CONTRACT",
        help="Run the scenarios of this contract as tests.",
    )
    group.addoption("--jobproof-profile", choices=PROFILES, default="quick", help="Which scenarios. Default: quick.")
    group.addoption(
        "--jobproof-python", default="", metavar="PATH", help="The subject's Python. Default: the contract's."
    )
    group.addoption("--jobproof-seed", type=int, default=0, metavar="S", help="Of the plans. Default: 0.")


def pytest_configure(config: pytest.Config) -> None:
    """A contract that is named is collected, besides the paths that were; alone if none were."""
    contracts = [str(Path(path).absolute()) for path in config.getoption("--jobproof")]
    if not contracts:
        return
    for path in contracts:
        if not Path(path).is_file():
            raise pytest.UsageError(f"--jobproof {path}: there is no such file")
    were_named = config.args_source is pytest.Config.ArgsSource.ARGS
    config.args[:] = [*config.args, *contracts] if were_named else contracts
    config.stash[_RUNNERS] = {}


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "ContractFile | None":
    wanted = {Path(path).absolute() for path in parent.config.getoption("--jobproof")}
    return ContractFile.from_parent(parent, path=file_path) if file_path.absolute() in wanted else None


def pytest_unconfigure(config: pytest.Config) -> None:
    for runner in config.stash.get(_RUNNERS, {}).values():
        runner.close()


class ContractFile(pytest.File):
    def collect(self) -> "Iterator[ScenarioCollector]":
        from harness.certify.profiles import PROFILES as KNOWN
        from scenarios import CATALOGUE, FAULT_FREE

        profile = next(each for each in KNOWN if each.name == self.config.getoption("--jobproof-profile"))
        for scenario in (FAULT_FREE, *profile.chosen(CATALOGUE)):
            yield ScenarioCollector.from_parent(self, name=scenario.name, guarantees=scenario.guarantees)


class ScenarioCollector(pytest.Collector):
    def __init__(self, *, guarantees: tuple[str, ...], **words: Any) -> None:
        super().__init__(**words)
        self._guarantees = guarantees

    def collect(self) -> "Iterator[GuaranteeItem]":
        for guarantee in self._guarantees:
            item = GuaranteeItem.from_parent(self, name=guarantee)
            item.add_marker(pytest.mark.xdist_group(f"{self.path.name}::{self.name}"))
            yield item


class GuaranteeItem(pytest.Item):
    def runtest(self) -> None:
        scenario = str(self.parent.name if self.parent is not None else "")
        runner = _runner(self.config, self.path)
        if because := runner.left_out(scenario):
            pytest.skip(f"not covered: {because}")
        result = runner.result_of(scenario)
        found = next((each for each in result.guarantees if each.guarantee == self.name), None)
        if found is None:
            pytest.skip("not covered: nobody has given this guarantee, or it cannot be judged here")
        elif found.status != "held":
            raise NotHeldError(_told(result, found))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, NotHeldError):
            return str(excinfo.value)  # where in the harness it was raised tells nobody anything
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.parent.name if self.parent is not None else ''}: {self.name}"


def _runner(config: pytest.Config, path: Path) -> "ScenarioRunner":
    from harness.certify.scenarios import ScenarioRunner
    from harness.cli_input import completed
    from scenarios import CATALOGUE, FAULT_FREE

    runners, seed = config.stash[_RUNNERS], config.getoption("--jobproof-seed")
    if path not in runners:
        runners[path] = ScenarioRunner(
            completed(path, config.getoption("--jobproof-python"), seed=seed),
            path,
            seed=seed,
            twin=FAULT_FREE,
            catalogue=CATALOGUE,
        )
    return runners[path]


def _told(result: "ScenarioResult", found: "GuaranteeResult") -> str:
    from harness.report.visible import visible

    lines = [f"{found.guarantee} {found.status} in {result.name}: {visible(found.because)}"]
    lines += [f"  step: {visible(step)}" for step in result.steps]
    lines += [
        f"  {each.at:9.3f} s  {visible(each.source)}:{each.seq}  {visible(each.says)}" for each in found.witnesses
    ]
    return "\n".join([*lines, f"  repeat with: {visible(result.replay, 2000)}"])
