"""docs/tutorial.md, as a newcomer follows it: its files are written, its commands run, and print what it shows."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.cli import cli
from tests.conftest import COMMAND_SECONDS_MAX, ROOT

PAGE = (ROOT / "docs" / "tutorial.md").read_text()
OWN_LINES_MAX = 10


@dataclass(frozen=True)
class Block:
    """A fenced block of the page: its language and its lines."""

    language: str
    lines: list[str]


@dataclass(frozen=True)
class Typed:
    """A command of the page, the exit code that it says, and the lines that it shows."""

    command: str
    code: int
    shown: list[str]


def blocks() -> list[Block]:
    return [Block(language, text.splitlines()) for language, text in re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)]


def commands(block: Block) -> Iterator[Typed]:
    for part in "\n".join(block.lines).split("\n$ "):
        first, *shown = part.removeprefix("$ ").splitlines()
        command, _, comment = first.partition("        #")
        code = re.search(r"exit code (\d+)", comment)
        yield Typed(command, int(code[1]) if code else 0, [line for line in shown if line.strip(" .")])


def write(block: Block, folder: Path) -> None:
    """A file of the page: its first line names it."""
    path = folder / block.lines[0].removeprefix("# ")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(block.lines) + "\n")


def change(block: Block, folder: Path) -> None:
    """Lines that stand together in a diff are replaced together."""
    path = folder / block.lines[0].removeprefix("--- ")
    assert block.lines[1] == f"+++ {path.name}"
    for old, new in re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)+)", "\n".join(block.lines[2:]) + "\n", re.MULTILINE):
        was, becomes = (re.sub("^.", "", part, flags=re.MULTILINE) for part in (old, new))
        text = path.read_text()
        assert text.count(was) == 1, f"{path.name} does not hold the lines that the page changes:\n{was}\n{text}"
        path.write_text(text.replace(was, becomes))


def run(typed: Typed, folder: Path) -> None:
    """As in a shell whose PATH holds jobproof; what the page shows of its output is there."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    if typed.command.startswith("jobproof "):
        environment["XDG_CONFIG_HOME"] = str(folder.parent / "home")  # where it makes a key
    ran = subprocess.run(
        ["bash", "-c", typed.command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    printed = ran.stdout + ran.stderr
    assert ran.returncode == typed.code, f"$ {typed.command}\n{printed}"
    found = {stable(line) for line in printed.splitlines()}
    for line in typed.shown:
        assert stable(line) in found, f"$ {typed.command}\nprinted no line like: {line}\n{printed}"


def stable(line: str) -> str:
    """A line without what differs from run to run: durations, dates, the key's name, and how wide it is."""
    line = re.sub(r"\d+\.\d+ ?s\b", "T", line)
    line = re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+", "DATE", line)
    line = re.sub(r"\([0-9a-f]{16}\)", "(KEY)", line)
    return " ".join(line.replace("=", " ").split())


DO = {"python": write, "yaml": write, "diff": change}


@pytest.mark.timeout(400)
def test_whoever_follows_the_tutorial_sees_what_it_shows(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    for block in blocks():
        if block.language == "console":
            for typed in commands(block):
                run(typed, folder)
        else:
            DO[block.language](block, folder)

    text = (folder / "shop.py").read_text()
    (folder / "shop.py").write_text(text + "# changed\n")
    changed = Typed("jobproof verify certificate.json", 1, ["stale: the source tree has changed"])
    run(changed, folder)  # as the page says in its words


def test_what_a_person_writes_for_jobproof_is_ten_lines_at_most() -> None:
    own: list[str] = []
    for block in blocks():
        if block.language == "diff" and block.lines[0] == "--- jobproof_contract.py":
            own += [line for line in block.lines[2:] if line.startswith("+")]
        if block.lines[0] == "# fixtures.py":
            own += [line for line in block.lines[1:] if line.strip()]
    assert 0 < len(own) <= OWN_LINES_MAX


def test_what_ci_runs_are_commands_that_there_are() -> None:
    (snippet,) = (block for block in blocks() if block.language == "yaml")
    lines = [line.partition("run: ")[2] for line in snippet.lines if "run: jobproof " in line]
    assert lines
    for line in lines:
        _, name, *words = shlex.split(line)
        with cli.commands[name].make_context(name, words) as context:
            assert context.params
