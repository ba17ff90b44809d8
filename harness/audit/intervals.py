"""Arithmetic with what a number can be at least and at most."""

import ast
import math
import sys
from typing import TypeAlias

Interval: TypeAlias = tuple[float, float]
ANYTHING: Interval = (-math.inf, math.inf)
_LARGEST = sys.float_info.max


def hull(intervals: list[Interval]) -> Interval:
    if not intervals:
        return ANYTHING
    return min(low for low, _ in intervals), max(high for _, high in intervals)


def combined(  # noqa: PLR0911 - one case for each operator, nothing else
    operator: ast.operator, left: Interval, right: Interval
) -> Interval:
    match operator:
        case ast.Add():
            return left[0] + right[0], left[1] + right[1]
        case ast.Sub():
            return left[0] - right[1], left[1] - right[0]
        case ast.Mult():
            products = [_product(one, other) for one in left for other in right]
            return min(products), max(products)
        case ast.Div() | ast.FloorDiv() if right[0] > 0:
            quotients = [one / other if math.isfinite(other) else 0.0 for one in left for other in right]
            return min(quotients), max(quotients)
        case ast.Pow() if left[0] >= 1:
            return max(0.0, _power(left[0], right[0])), _power(left[1], right[1])
        case ast.LShift() if left[0] >= 0:
            return left[0], _product(left[1], _power(2.0, right[1]))
        case ast.Mod() if right[0] > 0:
            return 0.0, right[1]
    return ANYTHING


def _product(one: float, other: float) -> float:
    return 0.0 if 0 in {one, other} else one * other if math.isinf(one) or math.isinf(other) else _finite(one * other)


def _power(base: float, exponent: float) -> float:
    if math.isinf(exponent):
        return 0.0 if exponent < 0 else math.inf
    try:
        return _finite(base**exponent)
    except OverflowError:
        return _LARGEST


def _finite(number: float) -> float:
    """What is too large for a number is known to be large; only what is not known is infinite."""
    return min(max(number, -_LARGEST), _LARGEST)


def calculated(name: str, arguments: list[Interval]) -> Interval:
    if not arguments:
        return ANYTHING
    lows, highs = [low for low, _ in arguments], [high for _, high in arguments]
    if name in {"min", "max"}:
        chosen = min if name == "min" else max
        return chosen(lows), chosen(highs)
    match name:
        case "pow":
            return combined(ast.Pow(), arguments[0], arguments[-1])
        case "abs":
            return 0.0, max(abs(lows[0]), abs(highs[0]))
        case "ceil" | "round":
            return lows[0] - 1, highs[0] + 1
    return arguments[0]


def drawn(name: str, arguments: list[Interval]) -> Interval:
    match name, len(arguments):
        case (("uniform" | "randint" | "triangular"), count) if count > 1:
            return hull(arguments)
        case (("randrange" | "randbelow"), count) if count:
            return 0.0, arguments[-1 if count == 1 else 1][1]
        case "random", _:
            return 0.0, 1.0
        case "choice", 1:
            return arguments[0]
    return ANYTHING
