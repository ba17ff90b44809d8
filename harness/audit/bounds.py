"""How large an expression can become, and what it depends on, read from its source.

A wait is rarely written as a number: `60 * 2 ** self.request.retries`, `min(delay, LIMIT)`, `settings.RETRY_DELAY`. An
interval is carried through such arithmetic. Names stand for what the live application holds there, for what the source
gives them, or, if they are parameters, for what every caller passes.
"""

import ast
import math
from collections.abc import Callable, Mapping

from harness.audit.code import DEPTH_MAX, Code, Function, Module
from harness.audit.intervals import ANYTHING, Interval, calculated, combined, drawn, hull
from harness.audit.syntax import at_once, default_of

STEPS_MAX = 5000  # of one question; code can be written that would take for ever to follow
RETRIES_WITHOUT_BOUND = 1e9
_UNITS = {"weeks": 604800, "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1, "milliseconds": 1e-3}
_TIMEDELTA = ("days", "seconds", "microseconds", "milliseconds", "minutes", "hours", "weeks")
_NOW = ("now", "utcnow", "localtime", "nowfun", "today")
_CHANCE = ("random.", "secrets.", "numpy.random.")
_PLAIN = frozenset({"min", "max", "int", "float", "round", "abs", "pow", "math.ceil", "math.floor", "math.pow"})
_PLAIN_TIME = frozenset({"timedelta", *_NOW})


class Bounds:
    """Of one code; `retries_max` is how large a task's `request.retries` can be."""

    def __init__(self, code: Code, retries_max: float = math.inf) -> None:
        self._code = code
        self._retries_max = retries_max
        self._steps = 0

    def longest(self, node: ast.expr, module: Module, within: Function | None) -> float | None:
        """The largest value in seconds (of a time of day: in how many from now); None if it is not known."""
        self._steps = 0
        try:
            high = self._of(node, module, within, {}, 0)[1]
        except (ArithmeticError, ValueError):
            return None
        return high if math.isfinite(high) else None

    def _of(  # noqa: PLR0911 - one case for each kind of expression, nothing else
        self,
        node: ast.AST,
        module: Module,
        within: Function | None,
        given: Mapping[str, Interval],
        depth: int,
    ) -> Interval:
        self._steps += 1
        if depth > 4 * DEPTH_MAX or self._steps > STEPS_MAX:
            return ANYTHING

        def of(each: ast.AST) -> Interval:
            return self._of(each, module, within, given, depth + 1)

        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number), float(number)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                low, high = of(operand)
                return -high, -low
            case ast.BinOp(left=left, op=operator, right=right):
                return combined(operator, of(left), of(right))
            case ast.IfExp(body=body, orelse=orelse):
                return hull([of(body), of(orelse)])
            case ast.BoolOp(values=values):
                return hull([of(each) for each in values])
            case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Dict(values=elements):
                return hull([of(each) for each in elements])  # of a table that is looked up in: one of its values
            case ast.Subscript(value=table):
                return of(table)
            case ast.Attribute(value=ast.Attribute(attr="request") | ast.Name(id="request"), attr="retries"):
                return 0.0, self._retries_max
            case ast.Name(id=name) if name in given:
                return given[name]
            case ast.Name() | ast.Attribute():
                return self._named(node, module, within, depth)
            case ast.Call():
                return self._called(node, module, within, of, depth)
        return ANYTHING

    def _named(self, node: ast.Name | ast.Attribute, module: Module, within: Function | None, depth: int) -> Interval:
        if isinstance(node, ast.Name) and within is not None:
            if node.id in within.bound:
                return self._of(within.bound[node.id], module, within, {}, depth + 1)
            if node.id in within.parameters:
                return self._passed(within, node.id, depth)
            if node.id in within.stored:
                return ANYTHING
        number = self._number(ast.unparse(node), module)
        if number is not None:
            return number, number
        if isinstance(node, ast.Name) and node.id in module.bound:
            return self._of(module.bound[node.id], module, None, {}, depth + 1)
        return ANYTHING

    def _number(self, text: str, module: Module) -> float | None:
        """What the live application holds under a name, followed through imports."""
        for _ in range(DEPTH_MAX):
            if text in module.numbers:
                return float(module.numbers[text])
            first, _, rest = text.partition(".")
            target = module.imports.get(first, "")
            if target in self._code.modules and rest:
                module, text = self._code.modules[target], rest
                continue
            owner, _, name = target.rpartition(".")
            if owner not in self._code.modules:
                return None
            module, text = self._code.modules[owner], f"{name}.{rest}" if rest else name
        return None

    def _called(
        self, call: ast.Call, module: Module, within: Function | None, of: Callable[[ast.AST], Interval], depth: int
    ) -> Interval:
        name = self._code.dotted(call.func, module, within) or ""
        last = name.rpartition(".")[2]
        arguments = [of(each) for each in call.args]
        if last == "timedelta":
            parts = [(unit, of(value)) for unit, value in zip(_TIMEDELTA, call.args, strict=False)]
            parts += [(each.arg, of(each.value)) for each in call.keywords if each.arg]
            low = sum(_UNITS.get(unit, 0) * interval[0] for unit, interval in parts if interval[0])
            high = sum(_UNITS.get(unit, 0) * interval[1] for unit, interval in parts if interval[1])
            return low, high
        if last in _NOW:
            return 0.0, 0.0
        if name.startswith(_CHANCE):
            return drawn(last, arguments)
        if name in _PLAIN:
            return calculated(last, arguments)
        function = self._code.called(call, module, within)
        if function is not None and depth < 2 * DEPTH_MAX:
            return self._returned(function, call, of, depth)
        return ANYTHING

    def _returned(self, function: Function, call: ast.Call, of: Callable[[ast.AST], Interval], depth: int) -> Interval:
        names = function.parameters
        if function.cls and isinstance(call.func, ast.Attribute):
            names = names[1:]
        given = {name: of(value) for name, value in zip(names, call.args, strict=False)}
        given |= {each.arg: of(each.value) for each in call.keywords if each.arg}
        for name in function.parameters:
            default = default_of(function.node, name)
            known = ANYTHING if default is None else self._of(default, function.module, None, {}, depth + 1)
            given.setdefault(name, known)
        values = [
            node.value
            for node in at_once(function.node.body)
            if isinstance(node, ast.Return) and node.value is not None
        ]
        local = dict(given)
        for name, value in function.bound.items():
            local[name] = self._of(value, function.module, function, local, depth + 1)
        return hull([self._of(value, function.module, function, local, depth + 1) for value in values])

    def _passed(self, function: Function, name: str, depth: int) -> Interval:
        """What a parameter can be: the hull of what every caller that is seen passes."""
        found = []
        for call, module, within in self._code.calls_of(function) if depth < DEPTH_MAX else ():
            value = function.passed(call, name)
            found.append(ANYTHING if value is None else self._of(value, module, within, {}, depth + 1))
        return hull(found)

    # --- what it depends on ---

    def depends_on(self, node: ast.expr, module: Module, within: Function | None) -> frozenset[str]:
        """Of `attempt` (it changes with the number of the attempt), `chance` and `unknown`, what is true."""
        self._steps = 0
        return frozenset(self._depends(node, module, within, {}, 0))

    def _depends(
        self, node: ast.AST, module: Module, within: Function | None, given: Mapping[str, set[str]], depth: int
    ) -> set[str]:
        found: set[str] = set()
        self._steps += 1
        if depth > DEPTH_MAX or self._steps > STEPS_MAX:
            return {"unknown"}
        owners = {each.value for each in ast.walk(node) if isinstance(each, ast.Attribute)}
        called = {each.func for each in ast.walk(node) if isinstance(each, ast.Call)}
        for each in ast.walk(node):
            match each:
                case ast.Attribute(value=ast.Attribute(attr="request") | ast.Name(id="request"), attr="retries"):
                    found.add("attempt")
                case ast.Attribute() if each not in owners | called and within is not None:
                    first = ast.unparse(each).split(".", maxsplit=1)[0]
                    found |= {"unknown"} if first in within.parameters else set()
                case ast.Name() if each not in owners | called and within is not None:
                    found |= self._depends_name(each.id, module, within, given, depth)
                case ast.Call():
                    found |= self._depends_call(each, module, within, given, depth)
        return found

    def _depends_name(
        self, name: str, module: Module, within: Function, given: Mapping[str, set[str]], depth: int
    ) -> set[str]:
        if name in given:
            return given[name]
        if name in within.bound:
            return self._depends(within.bound[name], module, within, given, depth + 1)
        if name not in within.parameters:
            return {"unknown"} if name in within.stored else set()
        calls = self._code.calls_of(within)
        found: set[str] = set() if calls else {"unknown"}
        for call, caller, inside in calls:
            value = within.passed(call, name)
            found |= {"unknown"} if value is None else self._depends(value, caller, inside, {}, depth + 1)
        return found

    def _depends_call(
        self, call: ast.Call, module: Module, within: Function | None, given: Mapping[str, set[str]], depth: int
    ) -> set[str]:
        name = self._code.dotted(call.func, module, within) or ""
        if name.startswith(_CHANCE):
            return {"chance"}
        if name in _PLAIN or name.rpartition(".")[2] in _PLAIN_TIME:
            return set()
        if name.endswith("get_exponential_backoff_interval"):
            return {"attempt", "chance"}
        function = self._code.called(call, module, within)
        if function is None:
            return {"unknown"}
        handed: dict[str, set[str]] = {}
        for name in function.parameters:
            value = function.passed(call, name)
            handed[name] = {"unknown"} if value is None else self._depends(value, module, within, given, depth + 1)
        found: set[str] = set()
        for each in at_once(function.node.body):
            if isinstance(each, ast.Return) and each.value is not None:
                found |= self._depends(each.value, function.module, function, handed, depth + 1)
        return found
