"""The syntax of Python, asked small questions."""

import ast
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.audit.facts import ModuleFacts

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def at_once(nodes: Sequence[ast.AST], stop: Callable[[ast.AST], bool] = lambda _: False) -> Iterator[ast.AST]:
    """The nodes and all below them that run when they do: not the bodies of functions that are only defined there."""
    for node in nodes:
        if stop(node):
            continue
        yield node
        if not isinstance(node, _SCOPES):
            yield from at_once(list(ast.iter_child_nodes(node)), stop)


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((each.value for each in call.keywords if each.arg == name), None)


def has_splat(call: ast.Call) -> bool:
    """Whether arguments come from a mapping or a sequence, so that not all of them can be seen."""
    return any(each.arg is None for each in call.keywords) or any(isinstance(each, ast.Starred) for each in call.args)


def is_none(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def imports_of(tree: ast.Module, facts: ModuleFacts) -> Iterator[tuple[str, str]]:
    is_package = Path(facts.file).name == "__init__.py"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom):
            parts = facts.name.split(".")
            above = parts[: len(parts) - node.level + is_package] if node.level else []
            base = ".".join([*above, node.module] if node.module else above)
            for alias in node.names:
                yield alias.asname or alias.name, f"{base}.{alias.name}"


def bound_in(scope: ast.AST) -> dict[str, ast.AST]:
    """The names that a scope binds once, to what; one that is bound twice may be either, and is left out."""
    found: dict[str, ast.AST] = {}
    twice: set[str] = set()

    def bind(target: ast.AST | None, value: ast.AST | None) -> None:
        if isinstance(target, ast.Name) and value is not None:
            if target.id in found:
                twice.add(target.id)
            found[target.id] = value

    for node in at_once(list(ast.iter_child_nodes(scope))):
        match node:
            case ast.Assign(targets=[target], value=value):
                bind(target, value)
            case ast.AnnAssign(target=target, value=value):
                bind(target, value)
            case ast.NamedExpr(target=target, value=value):
                bind(target, value)
            case ast.AugAssign(target=ast.Name(id=name)):
                twice.add(name)
            case ast.withitem(optional_vars=target):
                bind(target, node)
    return {name: value for name, value in found.items() if name not in twice}


def names_set(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.keyword(arg=str(name)):
            yield name
        case ast.Assign(targets=targets):
            for target in targets:
                yield last_name(target)
        case ast.AnnAssign(target=target):
            yield last_name(target)
        case ast.Constant(value=str(name)):
            yield name


def default_of(function: FunctionNode, name: str) -> ast.expr | None:
    arguments = function.args
    plain = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    by_name: dict[str, ast.expr | None] = dict(zip(reversed(plain), reversed(arguments.defaults), strict=False))
    by_name |= {each.arg: value for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)}
    return by_name.get(name)
