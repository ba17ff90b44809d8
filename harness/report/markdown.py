"""The report as GitHub-flavoured Markdown, for a pull request or a chat: the outcome, the matrix, what did not hold."""

import re

from harness.report.summary import guarantees_of, headline, told_together, worst_first
from harness.report.visible import COMMAND_LENGTH_MAX, NAME_LENGTH_MAX, SENTENCE_LENGTH_MAX, visible
from harness.result import Outcome, Result, ScenarioResult

WITNESSES_MAX = 20

_CELL: dict[Outcome, str] = {"held": "held", "violated": "**VIOLATED**", "unknown": "*unknown*"}

# What Markdown or a Markdown host gives a meaning to. "@" calls people by name on GitHub even when it is escaped, so a
# zero-width space follows it; "://" and "www." become links without being asked.
_SPECIAL = {
    **{character: f"\\{character}" for character in "\\*_[]#~!$^"},
    **{character: f"&#{ord(character)};" for character in "&<>|`"},
    "@": "@&#8203;",
    "://": "&#58;//",
    "www.": "www&#46;",
}
_SPECIAL_PATTERN = re.compile(
    "|".join(re.escape(part) for part in sorted(_SPECIAL, key=len, reverse=True)), re.IGNORECASE
)


def render(result: Result) -> str:
    """The report; no text of the subject's can end a table cell, start a line, make a link or call a person."""
    facts = [f"seed {result.seed}", *(f"{name} {version}" for name, version in sorted(result.versions.items()))]
    if result.bug:
        facts.insert(0, f"planted bug {result.bug}")
    if result.began:
        facts.append(result.began)
    lines = [
        f"# {result.outcome.upper()}: {escaped(headline(result), SENTENCE_LENGTH_MAX)}",
        "",
        " · ".join(escaped(fact, NAME_LENGTH_MAX) for fact in facts),
        "",
        *_matrix(result),
    ]
    for scenario in worst_first(result):
        if scenario.outcome != "held":
            lines += _scenario(scenario)
    if result.not_covered:
        lines += ["## Not covered: nothing is known of these", ""]
        lines += [f"* {escaped(each.name)}: {sentence(each.because)}" for each in result.not_covered]
        lines.append("")
    lines += ["## Repeat the whole run", "", *command(result.replay), ""]
    lines += ["The seed repeats the plan, not the operating system's scheduling."]
    return "\n".join(lines) + "\n"


def _matrix(result: Result) -> list[str]:
    guarantees = guarantees_of(result)
    rows = [
        f"| scenario | {' | '.join(escaped(name) for name in guarantees)} |" if guarantees else "| scenario |",
        "| --- " * (len(guarantees) + 1) + "|",
    ]
    for scenario in result.scenarios:
        status = {each.guarantee: each.status for each in scenario.guarantees}
        cells = [_CELL[status[name]] if name in status else "-" for name in guarantees]
        rows.append(f"| {' | '.join([escaped(scenario.name), *cells])} |")
    return [*rows, "", "\\- not put to the test", ""]


def _scenario(scenario: ScenarioResult) -> list[str]:
    lines = [f"## {scenario.outcome.upper()}: {escaped(scenario.name)}", "", sentence(scenario.story), ""]
    lines += [f"* Step: {sentence(step)}" for step in scenario.steps]
    if scenario.covers:
        lines.append(f"* Covers: {escaped(', '.join(scenario.covers))}")
    lines.append("")
    for together in told_together(scenario):
        first = together[0]
        if first.status == "held":
            continue
        names = ", ".join(escaped(each.guarantee) for each in together)
        lines += [f"**{names}: {first.status}.** {sentence(first.because)}", ""]
        lines += [
            f"{number}. {each.at:.3f} s · {escaped(f'{each.source}:{each.seq}')} · {sentence(each.says)}"
            for number, each in enumerate(first.witnesses[:WITNESSES_MAX], start=1)
        ]
        if len(first.witnesses) > WITNESSES_MAX:
            lines += ["", f"{len(first.witnesses) - WITNESSES_MAX} more witnesses are in result.json."]
        if first.witnesses:
            lines.append("")
    return [*lines, "Repeat it with", "", *command(scenario.replay), ""]


def escaped(text: str, limit: int = NAME_LENGTH_MAX) -> str:
    return _SPECIAL_PATTERN.sub(lambda match: _SPECIAL[match.group().lower()], visible(text, limit))


def sentence(text: str) -> str:
    """A sentence within a line that something harmless has begun, or that begins with a word of its own."""
    shown = escaped(text, SENTENCE_LENGTH_MAX)
    # At the start of a line "-", "+", "=", ">" and "1." would make a list, a heading or a quotation; spaces, code.
    return re.sub(r"^\s*(\d*)([-+=.)])", r"\1\\\2", shown).lstrip()


def command(command: str) -> list[str]:
    shown = visible(command, COMMAND_LENGTH_MAX)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return [f"{fence}sh", shown, fence]
