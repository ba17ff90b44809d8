"""From what two fault-free runs left in a folder to what can be compared of its files. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from harness.checkers.base import named
from harness.contract import FileRule, Folder
from harness.history import document_in
from harness.learning.effects import differences
from harness.services.files import LINE, FileFound, content_of

Found = Mapping[str, tuple[FileFound, ...]]
Writers = Mapping[str, Mapping[str, str]]


def learn_folders(
    first: Found, second: Found, writers: tuple[Writers, Writers]
) -> tuple[tuple[Folder, ...], tuple[str, ...]]:
    """The folders that ended alike in both runs, with what differs in them; and doubts, in sentences.

    `writers`: in each run and folder, the task that has left a file.
    """
    folders: list[Folder] = []
    doubts: list[str] = []
    for path, one in first.items():
        two = second.get(path, ())
        short = path.rstrip("/").rpartition("/")[2]
        rules = _rules(one, two)
        folder = Folder(path=path, files=tuple(rules))
        if not one and not two:
            doubts.append(f"folder {short} was empty after two fault-free runs: that a file is missing cannot be seen")
        elif _contents(folder, one) != _contents(folder, two):
            doubts.append(f"folder {short} did not end alike in two fault-free runs, so its files are not compared")
            continue
        folders.append(_with_tasks(folder, [pair for run in writers for pair in run.get(path, {}).items()]))
        doubts += [f"folder {short}: {doubt}" for rule in rules for doubt in _doubts(rule)]
    return tuple(folders), tuple(doubts)


def _rules(one: Sequence[FileFound], two: Sequence[FileFound]) -> list[FileRule]:
    """The names that are the same in both runs come first, so that no pattern is taken for them."""
    again = {each.name: each for each in two}
    both = [(each, again[each.name]) for each in one if each.name in again]
    rules = [FileRule(name=a.name, volatile=tuple(_differences(a, b))) for a, b in both if a.digest != b.digest]
    alone = [each for each in one if each.name not in again]
    there = {each.name for each in one}
    left = [each for each in two if each.name not in there]
    return rules + [_rule_of(pattern, alone, left) for pattern in _patterns(alone, left)]


def _with_tasks(folder: Folder, wrote: Sequence[tuple[str, str]]) -> Folder:
    """Told once where all files of a folder are of one task; else of each file, as far as its kind tells."""
    tasks = {task for _, task in wrote}
    if len(tasks) == 1:
        return replace(folder, task=tasks.pop())
    kinds = {rule.name: rule for rule in folder.files}
    for name, _ in wrote:
        rule = folder.rule_of(name) or FileRule(name=name)
        kinds.setdefault(rule.name, rule)
    known = {rule.name: {task for name, task in wrote if rule.fits(name)} for rule in kinds.values()}
    told = [replace(rule, task=min(known[name])) if len(known[name]) == 1 else rule for name, rule in kinds.items()]
    return replace(folder, files=tuple(sorted(told, key=lambda rule: "*" in rule.name)))


def _patterns(one: Sequence[FileFound], two: Sequence[FileFound]) -> Iterator[str]:
    """A name with a `*` for each pair of files that are most alike; what has no other half has none."""
    left = [each.name for each in two]
    found: dict[str, None] = {}
    for each in one:
        best = max(left, key=lambda other: len(_pattern(each.name, other)), default=None)
        if best is not None:
            left.remove(best)
            found[_pattern(each.name, best)] = None
    yield from found


def _pattern(one: str, two: str) -> str:
    """What two names begin with and end in, up to a character that is neither letter nor digit: `receipt-*.pdf`."""
    shorter = min(len(one), len(two))
    start = next((n for n in range(shorter) if one[n] != two[n]), shorter)
    while start and one[start - 1].isalnum():
        start -= 1
    end = next((n for n in range(shorter - start) if one[-1 - n] != two[-1 - n]), shorter - start)
    while end and one[-end].isalnum():
        end -= 1
    return f"{one[:start]}*{one[len(one) - end :]}"


def _rule_of(pattern: str, one: Sequence[FileFound], two: Sequence[FileFound]) -> FileRule:
    rule = FileRule(name=pattern)
    a, b = ([each for each in files if rule.fits(each.name)] for files in (one, two))
    if Counter(each.digest for each in a) == Counter(each.digest for each in b):
        return rule
    # Which of them are each other's is not known: of all that it could be, the one that differs least.
    volatile: dict[str, None] = {}
    for each in a:
        closest = min((_differences(each, other) for other in b), key=lambda found: ("" in found, len(found)))
        volatile |= dict.fromkeys(closest)
    return FileRule(name=pattern, volatile=("",) if "" in volatile else tuple(volatile))


def _differences(one: FileFound, two: FileFound) -> list[str]:
    if one.digest == two.digest:
        return []
    if not (one.is_whole and two.is_whole):
        return [""]
    found = differences(document_in(one.kept), document_in(two.kept))
    return _lines(one.kept.splitlines(), two.kept.splitlines()) if "" in found else found


def _lines(one: Sequence[bytes], two: Sequence[bytes]) -> list[str]:
    """The lines that differ; all of a file of which that is the greater part, or that is no text of lines."""
    found = [f"{LINE}{number}" for number, (a, b) in enumerate(zip(one, two, strict=False), start=1) if a != b]
    return found if len(one) == len(two) and 0 < 2 * len(found) <= len(one) else [""]


def _contents(folder: Folder, files: Sequence[FileFound]) -> Counter[tuple[str, str]]:
    rules = [(each, folder.rule_of(each.name)) for each in files]
    return Counter(
        (rule.name if rule else each.name, content_of(rule.volatile if rule else (), each)) for each, rule in rules
    )


def _doubts(rule: FileRule) -> Iterator[str]:
    if "*" in rule.name:
        yield f"{rule.name} has another name in each run"
    if "" in rule.volatile:
        yield f"of {rule.name} only is compared that it is there and not empty: all of it may differ from run to run"
    elif rule.volatile:
        yield f"{rule.name} is compared without {named(rule.volatile)}, which differs from run to run"
