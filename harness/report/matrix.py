"""Which planted bug is found by which guarantee in which scenario, as a page. The tests run every row."""

from harness.contract import Contract, PlantedBug
from harness.report.markdown import escaped

_HEAD = """# What has been seen to be found

A check that has not been seen to fail proves nothing. Each of these mistakes can be planted in {name} with
`jobproof run --bug NAME`; it must violate its guarantee in each of its scenarios, and no guarantee that is not named
here. `tests/detects` runs every row. This page is made by `jobproof list bugs --format markdown` (`make matrix`).

"""


def render(contract: Contract) -> str:
    """Markdown: first by bug, then by guarantee and scenario."""
    bugs = contract.planted_bugs
    lines = ["| bug | what it is | violates | in | and perhaps |", "|---|---|---|---|---|"]
    lines += [
        f"| `{bug.name}` | {escaped(bug.story)} | {bug.guarantee} | {_code(bug.scenarios)} | {', '.join(bug.also)} |"
        for bug in bugs
    ]
    guarantees = list(dict.fromkeys(bug.guarantee for bug in bugs))
    lines += ["", f"| scenario | {' | '.join(guarantees)} |", f"|---|{'---|' * len(guarantees)}"]
    scenarios = sorted({scenario for bug in bugs for scenario in bug.scenarios})
    lines += [
        f"| `{scenario}` | {' | '.join(_cell(bugs, guarantee, scenario) for guarantee in guarantees)} |"
        for scenario in scenarios
    ]
    return _HEAD.format(name=escaped(contract.name)) + "\n".join(lines) + "\n"


def _cell(bugs: tuple[PlantedBug, ...], guarantee: str, scenario: str) -> str:
    return _code(tuple(bug.name for bug in bugs if bug.guarantee == guarantee and scenario in bug.scenarios))


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{escaped(name)}`" for name in names)
