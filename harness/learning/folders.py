"""From what two fault-free runs left in a folder to what can be compared of its files. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from harness.contract import FileRule, Folder
from harness.history import document_in
from harness.learning.effects import differences
from harness.services.files import FileFound, content_of

Found = Mapping[str, tuple[FileFound, ...]]


def learn_folders(first: Found, second: Found) -> tuple[tuple[Folder, ...], tuple[str, ...]]:
    """The folders that ended alike in both runs, with what differs in them; and doubts, in sentences."""
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
        folders.append(folder)
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
    return [""] if "" in found else found


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
        yield f"{rule.name} is compared without {', '.join(rule.volatile)}, which differs from run to run"
