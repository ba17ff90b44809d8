"""The report as GitHub-flavoured Markdown, for a pull request or a chat: the outcome, the matrix, what did not hold.

Also home of `visible`, with which every report takes the teeth out of text that comes from the subject.
"""

import re
import unicodedata

from harness.result import GuaranteeResult, Outcome, Result, ScenarioResult

NAME_LENGTH_MAX = 120
HEADLINE_NAME_LENGTH_MAX = 60
SENTENCE_LENGTH_MAX = 700
COMMAND_LENGTH_MAX = 2000
WITNESSES_MAX = 20

_CELL: dict[Outcome, str] = {"held": "held", "violated": "**VIOLATED**", "unknown": "*unknown*"}
_WORST_FIRST: tuple[Outcome, ...] = ("violated", "unknown", "held")

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


def visible(text: str, limit: int = SENTENCE_LENGTH_MAX) -> str:
    """One line of printable characters, at most `limit` of the text's own and then how long the whole is.

    A line's end is shown as ↵; what does not print (control characters, direction overrides, zero-width characters,
    lone surrogates, non-characters) as ⟨U+202E⟩. The result is valid in HTML and XML 1.0, once escaped.
    """
    shown = "".join(map(_visible, text[:limit].replace("\r\n", "\n")))
    return shown if len(text) <= limit else f"{shown}… ({len(text)} characters in all)"


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    if character == "\n":
        return "↵"
    if character == "\t" or unicodedata.category(character) == "Zs":
        return " "
    return f"⟨U+{ord(character):04X}⟩"


def guarantees_of(result: Result) -> tuple[str, ...]:
    """The columns of the matrix: every guarantee that was put to the test, in the order of the verdicts."""
    longest_first = sorted(result.scenarios, key=lambda scenario: -len(scenario.guarantees))
    return tuple(dict.fromkeys(each.guarantee for scenario in longest_first for each in scenario.guarantees))


def worst_first(result: Result) -> tuple[ScenarioResult, ...]:
    return tuple(sorted(result.scenarios, key=lambda scenario: _WORST_FIRST.index(scenario.outcome)))


def told_together(scenario: ScenarioResult) -> tuple[tuple[GuaranteeResult, ...], ...]:
    """The guarantees, worst first, and those together that have the same verdict for the same reason."""
    groups: dict[object, list[GuaranteeResult]] = {}
    for each in sorted(scenario.guarantees, key=lambda each: _WORST_FIRST.index(each.status)):
        groups.setdefault((each.status, each.because, each.witnesses), []).append(each)
    return tuple(map(tuple, groups.values()))


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def headline(result: Result) -> str:
    """The outcome in one sentence, visible and short, still to be escaped: the subject's name is in it."""
    subject = visible(result.subject, HEADLINE_NAME_LENGTH_MAX) or "the subject"
    scenarios = counted(len(result.scenarios), "scenario")
    if result.outcome == "held":
        return f"{subject} held every guarantee in {scenarios}."
    found = [scenario for scenario in result.scenarios if scenario.outcome == result.outcome]
    kinds = {each.guarantee for scenario in found for each in scenario.guarantees if each.status == result.outcome}
    where = f"in {len(found)} of {scenarios}"
    if result.outcome == "violated":
        return f"{subject} violated {counted(len(kinds), 'guarantee')} {where}."
    if not found:
        return f"{subject} could not be judged: no scenario was run."
    return f"{subject} could not be judged {where}. Unknown is not a pass."


def render(result: Result) -> str:
    """The report; no text of the subject's can end a table cell, start a line, make a link or call a person."""
    facts = [f"seed {result.seed}", *(f"{name} {version}" for name, version in sorted(result.versions.items()))]
    if result.bug:
        facts.insert(0, f"planted bug {result.bug}")
    if result.began:
        facts.append(result.began)
    lines = [
        f"# {result.outcome.upper()}: {_text(headline(result), SENTENCE_LENGTH_MAX)}",
        "",
        " · ".join(_text(fact, NAME_LENGTH_MAX) for fact in facts),
        "",
        *_matrix(result),
    ]
    for scenario in worst_first(result):
        if scenario.outcome != "held":
            lines += _scenario(scenario)
    lines += ["## Repeat the whole run", "", *_command(result.replay), ""]
    lines += ["The seed repeats the plan, not the operating system's scheduling."]
    return "\n".join(lines) + "\n"


def _matrix(result: Result) -> list[str]:
    guarantees = guarantees_of(result)
    rows = [
        f"| scenario | {' | '.join(_text(name) for name in guarantees)} |" if guarantees else "| scenario |",
        "| --- " * (len(guarantees) + 1) + "|",
    ]
    for scenario in result.scenarios:
        status = {each.guarantee: each.status for each in scenario.guarantees}
        cells = [_CELL[status[name]] if name in status else "-" for name in guarantees]
        rows.append(f"| {' | '.join([_text(scenario.name), *cells])} |")
    return [*rows, "", "\\- not put to the test", ""]


def _scenario(scenario: ScenarioResult) -> list[str]:
    lines = [f"## {scenario.outcome.upper()}: {_text(scenario.name)}", "", _sentence(scenario.story), ""]
    lines += [f"* Step: {_sentence(step)}" for step in scenario.steps]
    if scenario.covers:
        lines.append(f"* Covers: {_text(', '.join(scenario.covers))}")
    lines.append("")
    for together in told_together(scenario):
        first = together[0]
        if first.status == "held":
            continue
        names = ", ".join(_text(each.guarantee) for each in together)
        lines += [f"**{names}: {first.status}.** {_sentence(first.because)}", ""]
        lines += [
            f"{number}. {each.at:.3f} s · {_text(f'{each.source}:{each.seq}')} · {_sentence(each.says)}"
            for number, each in enumerate(first.witnesses[:WITNESSES_MAX], start=1)
        ]
        if len(first.witnesses) > WITNESSES_MAX:
            lines += ["", f"{len(first.witnesses) - WITNESSES_MAX} more witnesses are in result.json."]
        if first.witnesses:
            lines.append("")
    return [*lines, "Repeat it with", "", *_command(scenario.replay), ""]


def _text(text: str, limit: int = NAME_LENGTH_MAX) -> str:
    return _SPECIAL_PATTERN.sub(lambda match: _SPECIAL[match.group().lower()], visible(text, limit))


def _sentence(text: str) -> str:
    """A sentence within a line that something harmless has begun, or that begins with a word of its own."""
    shown = _text(text, SENTENCE_LENGTH_MAX)
    # At the start of a line "-", "+", "=", ">" and "1." would make a list, a heading or a quotation; spaces, code.
    return re.sub(r"^\s*(\d*)([-+=.)])", r"\1\\\2", shown).lstrip()


def _command(command: str) -> list[str]:
    shown = visible(command, COMMAND_LENGTH_MAX)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return [f"{fence}sh", shown, fence]
