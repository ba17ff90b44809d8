"""From what two fault-free runs left in a database to the tables and columns that can be compared. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from harness.contract import SqlTable
from harness.services.tables import WholeTable

Found = Mapping[tuple[str, str], WholeTable]


def learn_tables(first: Found, second: Found) -> tuple[tuple[SqlTable, ...], tuple[str, ...]]:
    """The tables that ended alike in both runs, without the columns that did not; and doubts, in sentences."""
    tables = []
    doubts = []
    for (url, name), one in first.items():
        two = second.get((url, name))
        if two is None or one.columns != two.columns:
            doubts.append(f"table {name} was not there in both fault-free runs")
            continue
        columns = next((each for each in _choices(one, two) if each and _are_alike(one, two, each)), ())
        if not columns:
            doubts.append(f"table {name} did not end alike in two fault-free runs, so it is not compared")
            continue
        tables.append(SqlTable(url=url, table=name, columns=columns))
        if left_out := [each for each in one.columns if each not in columns]:
            doubts.append(f"table {name} is compared without {', '.join(left_out)}, which differ from run to run")
    return tuple(tables), tuple(doubts)


def _choices(one: WholeTable, two: WholeTable) -> Iterator[tuple[str, ...]]:
    """All columns; those that are alike each for itself; of these without one; without any that may be made up."""
    yield one.columns
    steady = tuple(each for each in one.columns if _are_alike(one, two, (each,)))
    yield steady
    for left_out in sorted(steady, key=lambda each: each not in one.keys):
        yield tuple(each for each in steady if each != left_out)
    yield tuple(each for each in steady if each not in one.keys)


def _are_alike(one: WholeTable, two: WholeTable, columns: tuple[str, ...]) -> bool:
    return _rows(one, columns) == _rows(two, columns)


def _rows(table: WholeTable, columns: tuple[str, ...]) -> Counter[str]:
    places = [table.columns.index(each) for each in columns]
    return Counter(repr(_picked(row, places)) for row in table.rows)


def _picked(row: tuple[Any, ...], places: list[int]) -> tuple[Any, ...]:
    return tuple(row[place] for place in places)
