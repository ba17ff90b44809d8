"""What became of the files of a folder, beside those of the fault-free run: lost, doubled, torn, of other content."""

import re
from collections.abc import Sequence

from msgspec import Struct

from harness.events import FileLeft

# Names that programs give to a file while they write it. What a kill leaves of such a file is litter and no effect.
_UNFINISHED = re.compile(r"(?:.*/)?(?:tmp[^/]*|\.[^/]*|[^/]*(?:\.tmp|\.temp|\.part|\.partial|~))")


class FilesCompared(Struct, frozen=True):
    """`differences`: in sentences. `litter`: what was left unfinished and is not compared."""

    differences: tuple[str, ...]
    litter: tuple[str, ...]


def compare_files(folder: str, found: Sequence[FileLeft], usual: Sequence[FileLeft]) -> FilesCompared:
    """A file is the same by its name; where that is another one in each run, by its kind and content."""
    short = folder.rstrip("/").rpartition("/")[2]
    names = {each.name: each for each in usual}
    told: list[str] = []
    litter: list[str] = []
    # First by name, then by kind and content, then by kind alone.
    pairs = [(each, names[each.name]) for each in found if each.name in names]
    extra, missing = _without(found, pairs, 0), _without(usual, pairs, 1)
    for alike in (lambda a, b: (a.kind, a.content) == (b.kind, b.content), lambda a, b: a.kind == b.kind):
        for each in extra.copy():
            other = next((one for one in missing if alike(each, one)), None)
            if other is not None:
                extra.remove(each)
                missing.remove(other)
                pairs.append((each, other))
    told += [_changed(short, a, b) for a, b in pairs if a.content != b.content]
    told += [f"{_called(short, each)} is lost: the fault-free run left it" for each in missing]
    for each in extra:
        twins = [other.name for other in found if other is not each and _are_of_one_job(each, other)]
        if _UNFINISHED.fullmatch(each.name):
            litter.append(f"{short}/{each.name}")
        elif twins:
            told.append(f"{_called(short, each)} is doubled: {short}/{twins[0]} is there as well")
        elif each.kind != each.name:
            told.append(f"{_called(short, each)} is one {each.kind} more than the fault-free run left")
        else:
            told.append(f"{_called(short, each)} was not left by the fault-free run")
    return FilesCompared(tuple(told), tuple(litter))


def _without(files: Sequence[FileLeft], pairs: Sequence[tuple[FileLeft, FileLeft]], half: int) -> list[FileLeft]:
    paired = {id(pair[half]) for pair in pairs}
    return [each for each in files if id(each) not in paired]


def _are_of_one_job(one: FileLeft, two: FileLeft) -> bool:
    """Of one kind and content; a file of which nothing is compared may be any other's of its kind."""
    return one.kind == two.kind and one.content == two.content


def _called(folder: str, file: FileLeft) -> str:
    return f"{folder}/{file.name}{f' of {file.task}' if file.task else ''}"


def _changed(folder: str, found: FileLeft, usual: FileLeft) -> str:
    where = _called(folder, found)
    if not found.size:
        return f"{where} is torn: it is empty, and {usual.size} bytes in the fault-free run"
    common = min(len(found.beginning), len(usual.beginning))
    if found.size < usual.size and found.beginning[:common] == usual.beginning[:common]:
        return f"{where} is torn: it ends after {found.size} of {usual.size} bytes"
    return f"{where} has other content than in the fault-free run ({found.size} bytes, {usual.size} there)"
