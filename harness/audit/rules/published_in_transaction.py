import ast
from collections.abc import Iterator

from harness.audit.code import Code, Function, Module
from harness.audit.finding import Answer, Rule, Severity, Subject
from harness.audit.syntax import at_once

_PUBLISHING = frozenset({"delay", "apply_async", "send_task"})
_OPENING = (".atomic()", ".begin()", ".begin_nested()", ".transaction()", ".atomic")
_SESSIONS = (".Session()", ".sessionmaker()()", ".scoped_session()()")


def check(subject: Subject) -> Iterator[Answer]:
    code = subject.code
    for module in code.modules.values():
        for node in ast.walk(module.tree):
            within = module.within.get(node)
            if isinstance(node, ast.With | ast.AsyncWith):
                for item in node.items:
                    yield from _in_block(subject, node, item, module, within)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for decorator in node.decorator_list:
                    if _opens(decorator, code, module, within):
                        text = ast.unparse(decorator)
                        yield from _publishing(subject, node.body, module, module.defined[node], text)


def _in_block(
    subject: Subject, node: ast.With | ast.AsyncWith, item: ast.withitem, module: Module, within: Function | None
) -> Iterator[Answer]:
    text = ast.unparse(item.context_expr)
    if _opens(item.context_expr, subject.code, module, within):
        yield from _publishing(subject, node.body, module, within, text)
    elif isinstance(item.optional_vars, ast.Name) and (
        subject.code.dotted(item.context_expr, module, within) or ""
    ).endswith(_SESSIONS):
        name = item.optional_vars.id
        commits = [each.lineno for each in at_once(node.body) if isinstance(each, ast.Call) and _is_commit(each, name)]
        before = [statement for statement in node.body if any(statement.lineno < line for line in commits)]
        yield from _publishing(subject, before, module, within, text, until=max(commits, default=0))


def _is_commit(call: ast.Call, name: str) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Name(id=owner), attr="commit"):
            return owner == name
    return False


def _opens(node: ast.expr, code: Code, module: Module, within: Function | None) -> bool:
    return f".{code.dotted(node, module, within) or ''}".endswith(_OPENING)


def _publishing(
    subject: Subject, body: list[ast.stmt], module: Module, within: Function | None, text: str, until: int = 0
) -> Iterator[Answer]:
    for node in at_once(body):
        if not isinstance(node, ast.Call) or (until and node.lineno > until):
            continue
        if _is_publishing(node):
            yield subject.call(node, module, within, f"enqueues inside of the transaction of `{text[:80]}`")
            continue
        function = subject.code.called(node, module, within)
        if function is not None and (through := _publishes(subject.code, function, [])):
            what = f"enqueues inside of the transaction of `{text[:80]}`, in {through}"
            yield subject.call(node, module, within, what)


def _is_publishing(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in _PUBLISHING


def _publishes(code: Code, function: Function, seen: list[Function]) -> Function | None:
    """The function that enqueues at once when this one is called; not what is only put off until the commit."""
    if function in seen:
        return None
    seen.append(function)
    for node in at_once(function.node.body):
        if not isinstance(node, ast.Call):
            continue
        if _is_publishing(node):
            return function
        called = code.called(node, function.module, function)
        if called is not None and (found := _publishes(code, called, seen)):
            return found
    return None


RULE = Rule(
    name="published-in-transaction",
    severity=Severity.ERROR,
    failure_modes=("F101", "F102", "F103"),
    asks="a job is enqueued when its transaction has been committed",
    hurts="the worker looks for a row that is not there yet; or the transaction is rolled back and the job runs "
    "all the same",
    fix="transaction.on_commit(...) or delay_on_commit in Django; elsewhere enqueue after the block, or write an "
    "outbox row in the transaction",
    check=check,
    reads="modules",
)
