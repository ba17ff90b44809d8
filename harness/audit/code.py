"""The source of a team's modules, read and never run: what is called where, and what calls what."""

import ast
import sys
import warnings
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from harness.audit.facts import Facts, ModuleFacts, Named, TaskFacts
from harness.audit.syntax import FunctionNode, at_once, bound_in, default_of, imports_of, last_name, names_set

FILE_BYTES_MAX = 1 << 20
FILES_MAX = 2000
DEPTH_MAX = 6


class Place(Struct, frozen=True, kw_only=True):
    """Where something stands: a file, relative to where the audit was made where that is possible, and a line."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Module:
    """One module's tree, and what its names stand for."""

    def __init__(self, facts: ModuleFacts, shown: str, tree: ast.Module) -> None:
        self.name = facts.name
        self.shown = shown
        self.tree = tree
        self.numbers = facts.numbers
        self.imports = dict(imports_of(tree, facts))
        self.functions: dict[str, Function] = {}
        self.defined: dict[FunctionNode, Function] = {}  # all of them, where a name is used twice
        self.within: dict[ast.AST, Function] = {}  # of each node the function that it stands in, where there is one
        self._index(tree, "", "", None)
        self.bound = bound_in(tree)

    def place(self, node: ast.AST) -> Place:
        return Place(file=self.shown, line=getattr(node, "lineno", 1))

    def _index(self, node: ast.AST, prefix: str, cls: str, function: "Function | None") -> None:
        for child in ast.iter_child_nodes(node):
            if function is not None:
                self.within[child] = function
            if isinstance(child, FunctionNode):
                inner = Function(self, prefix + child.name, child, cls)
                self.functions.setdefault(inner.name, inner)
                self.defined[child] = inner
                self._index(child, f"{inner.name}.<locals>.", "", inner)
            elif isinstance(child, ast.ClassDef):
                self._index(child, f"{prefix}{child.name}.", f"{prefix}{child.name}", function)
            else:
                self._index(child, prefix, cls, function)


class Function:
    """A function of a module: `name` as Python qualifies it, `cls` the class that it is a method of."""

    def __init__(self, module: Module, name: str, node: FunctionNode, cls: str) -> None:
        self.module = module
        self.name = name
        self.node = node
        self.cls = cls
        self.bound = bound_in(node)
        # What is bound in it at all, if only by a loop: such a name is not the module's.
        self.stored = {
            each.id for each in at_once(node.body) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
        }
        self.below: tuple[Function, ...] | None = None  # what it calls and defines, once that was asked

    @property
    def line(self) -> int:
        """As Python counts it: of the first decorator."""
        return min([self.node.lineno, *(each.lineno for each in self.node.decorator_list)])

    @property
    def parameters(self) -> list[str]:
        arguments = self.node.args
        return [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]

    def passed(self, call: ast.Call, name: str) -> ast.expr | None:
        """What a call passes for a parameter, by keyword, by position or by default; None if it cannot be seen."""
        for each in call.keywords:
            if each.arg == name:
                return each.value
        names = self.parameters[1:] if self.cls and isinstance(call.func, ast.Attribute) else self.parameters
        if name in names and names.index(name) < len(call.args):
            return call.args[names.index(name)]
        return default_of(self.node, name)

    def __str__(self) -> str:
        return f"{self.module.name}.{self.name}"


class Site(NamedTuple):
    """A call in the source: in which module, and in which function if it stands in one."""

    call: ast.Call
    module: Module
    within: Function | None


class Code:
    """All modules of the team's that are loaded and can be read; `unread` says of the others why not."""

    def __init__(self, facts: Facts, cwd: Path) -> None:
        self.modules: dict[str, Module] = {}
        self.unread: dict[str, str] = {}
        self._bases = _bases(facts)
        self._reached: dict[tuple[Function, ...], list[Function]] = {}
        self._cwd = cwd.resolve()
        for each in facts.modules[:FILES_MAX]:
            try:
                self.modules[each.name] = Module(each, self.shown(each.file, each.name), _tree(Path(each.file)))
            except SyntaxError as error:
                ours = f"Python {sys.version_info.major}.{sys.version_info.minor}"
                self.unread[each.name] = f"line {error.lineno} is none of {ours}, which jobproof runs on: {error.msg}"
            except (OSError, ValueError, RecursionError, MemoryError) as error:
                self.unread[each.name] = f"{type(error).__name__}: {error}"
        for each in facts.modules[FILES_MAX:]:
            self.unread[each.name] = f"more than {FILES_MAX} modules"
        self.calls: list[Site] = [
            Site(node, module, module.within.get(node))
            for module in self.modules.values()
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Call)
        ]
        self._calls_by_name: dict[str, list[Site]] = defaultdict(list)
        self._calls_in: dict[Function | None, list[Site]] = defaultdict(list)
        for site in self.calls:
            self._calls_by_name[last_name(site.call.func)].append(site)
            self._calls_in[site.within].append(site)

    def shown(self, file: str, module: str = "") -> str:
        """A path relative to where the audit is made; of an installed file, to where its package is."""
        path = Path(file)
        for one in (path, path.resolve()):
            if one.is_relative_to(self._cwd):
                return one.relative_to(self._cwd).as_posix()
        depth = module.count(".") + (2 if path.name == "__init__.py" else 1)
        return "/".join(path.parts[-depth:]) if module else path.name

    # --- what is where ---

    def function_of(self, task: TaskFacts) -> Function | None:
        module = self.modules.get(task.module)
        if module is None:
            return None
        named = [each for each in module.defined.values() if each.name == task.function]
        # Two tasks may be functions of the same name; the live application tells the line.
        return next((each for each in named if each.line == task.line), named[0] if named else None)

    def methods_of(self, task: TaskFacts) -> list[Function]:
        """The methods of the team's classes that a task inherits."""
        found = []
        for base in task.bases:
            module = self.modules.get(base.module)
            if module is not None:
                found += [each for each in module.functions.values() if each.cls == base.name]
        return found

    def place_of_task(self, task: TaskFacts) -> Place:
        return Place(file=self.shown(task.file, task.module), line=max(task.line, 1))

    def place_of_setting(self, name: str, home: str) -> Place:
        """Where a setting is made: as a keyword, an attribute, a key or a name; else where the application is made."""
        upper = name.upper()  # in a Django project it has a prefix, which the team has chosen
        modules = sorted(self.modules.values(), key=lambda module: module.name != home)
        for module in modules:
            for node in ast.walk(module.tree):
                if any(each in {name, upper} or each.endswith(f"_{upper}") for each in names_set(node)):
                    return module.place(node)
        return self.place_of_app(home)

    def place_of_app(self, home: str) -> Place:
        modules = sorted(self.modules.values(), key=lambda module: module.name != home)
        for module in modules:
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call) and (self.dotted(node.func, module) or "").endswith("Celery"):
                    return module.place(node)
        return Place(file=modules[0].shown if modules else "?", line=1)

    def subscripts(self, module: Module) -> Iterator[ast.Subscript]:
        """Everything in a module that is looked up by a key."""
        yield from (node for node in ast.walk(module.tree) if isinstance(node, ast.Subscript))

    # --- what a name stands for ---

    def dotted(self, node: ast.AST, module: Module, within: Function | None = None, depth: int = 0) -> str | None:
        """What an expression names, in full: `requests.get`, `requests.Session().post`; None if it cannot be told."""
        match node:
            case ast.Name(id=name):
                return self._named(name, module, within, depth)
            case ast.Attribute(value=value, attr=attribute):
                owner = self.dotted(value, module, within, depth)
                return f"{owner}.{attribute}" if owner else None
            case ast.Call(func=function):
                called = self.dotted(function, module, within, depth)
                return f"{called}()" if called else None
            case ast.Await(value=value) | ast.withitem(context_expr=value):
                return self.dotted(value, module, within, depth)
        return None

    def _named(self, name: str, module: Module, within: Function | None, depth: int) -> str:
        if depth < DEPTH_MAX:
            for bound in ([within.bound] if within is not None else []) + [module.bound]:
                value = bound.get(name)
                if isinstance(value, ast.Call | ast.Attribute | ast.Name | ast.withitem):
                    return self.dotted(value, module, within, depth + 1) or name
        return module.imports.get(name, name)

    def called(self, call: ast.Call, module: Module, within: Function | None) -> Function | None:
        """The function of the team's that a call runs: by its name, by its import, or as a method of `self`."""
        match call.func:
            case ast.Attribute(value=ast.Name(id=owner), attr=attribute) if within is not None and within.parameters[
                :1
            ] == [owner]:
                return self._method(within, attribute)
            case ast.Name(id=name) if name in module.functions:
                return module.functions[name]
            case ast.Name() | ast.Attribute():
                return self.by_name(self.dotted(call.func, module, within) or "")
        return None

    def by_name(self, dotted: str) -> Function | None:
        owner, _, name = dotted.rpartition(".")
        for _ in range(DEPTH_MAX):
            module = self.modules.get(owner)
            if module is None:
                return None
            if name in module.functions:
                return module.functions[name]
            # Perhaps it is only passed on: `from shop.mail.sending import send` in shop/mail/__init__.py.
            owner, _, name = module.imports.get(name, "").rpartition(".")
        return None

    def _method(self, within: Function, name: str) -> Function | None:
        if within.cls and (own := within.module.functions.get(f"{within.cls}.{name}")):
            return own
        bases = self._bases.get((within.module.name, within.cls or within.name), ())
        for base in bases:
            module = self.modules.get(base.module)
            if module is not None and (found := module.functions.get(f"{base.name}.{name}")):
                return found
        return None

    def calls_of(self, function: Function) -> list["Site"]:
        """Every place of the team's code that calls a function, as far as names tell."""
        return [site for site in self.calls_named(function.node.name) if self.called(*site) is function]

    def calls_named(self, name: str) -> list["Site"]:
        """The calls of anything that is called so, whatever it is."""
        return self._calls_by_name.get(name, [])

    def calls_in(self, function: Function) -> list["Site"]:
        """The calls in a function's own body, those of functions that are defined in it left out."""
        return self._calls_in.get(function, [])

    def reached(self, functions: Sequence[Function]) -> list[Function]:
        """The functions and all that they call or define, as far as names tell, each once."""
        key = tuple(functions)
        if key not in self._reached:
            found: dict[Function, None] = {}
            waiting = deque(functions)
            while waiting:
                function = waiting.popleft()
                if function not in found:
                    found[function] = None
                    waiting.extend(self._below(function))
            self._reached[key] = list(found)
        return self._reached[key]

    def _below(self, function: Function) -> tuple[Function, ...]:
        if function.below is None:
            inner = function.module.functions.values()
            defined = [each for each in inner if each.name.startswith(f"{function.name}.<locals>.")]
            called = [self.called(*site) for site in self.calls_in(function)]
            function.below = (*defined, *(each for each in called if each is not None))
        return function.below


def _bases(facts: Facts) -> dict[tuple[str, str], tuple[Named, ...]]:
    """Of each class of the team's that a task is or inherits, and of each task's function, the classes above it."""
    found = {(task.module, task.function): task.bases for task in facts.tasks}
    for task in facts.tasks:
        for number, base in enumerate(task.bases):
            found.setdefault((base.module, base.name), task.bases[number:])
    return found


def _tree(path: Path) -> ast.Module:
    if path.stat().st_size > FILE_BYTES_MAX:
        raise ValueError(f"it is larger than {FILE_BYTES_MAX >> 20} MiB")
    with warnings.catch_warnings(action="ignore"):  # an escape that Python complains of is the team's business
        return ast.parse(path.read_bytes())
