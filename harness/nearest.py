"""Which of the names that there are was probably meant by one that there is not."""

import difflib
from collections.abc import Iterable

ALIKE_MIN = 0.4


def hint(name: str, names: Iterable[str], *, short: Iterable[str] = ()) -> str:
    """For the end of a refusal: the name most like this one, or else all that there are.

    `short`: other names of the same, which may be meant too and are not listed.
    """
    there = list(names)
    near = difflib.get_close_matches(name, [*there, *short], n=1, cutoff=ALIKE_MIN)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(there) or 'none'}"
