import ast
from collections.abc import Callable, Iterator
from functools import partial

from harness.audit.code import Code, Function
from harness.audit.finding import Answer, Rule, Severity, Subject
from harness.audit.syntax import at_once

_BROAD = frozenset({"Exception", "BaseException"})
_SOFT = "SoftTimeLimitExceeded"


def check(subject: Subject) -> Iterator[Answer]:
    code = subject.code
    limited = [task for task in subject.facts.tasks if task.seconds("soft_time_limit") is not None]
    bodies = code.reached([function for task in limited if (function := code.function_of(task)) is not None])
    for function in bodies:
        yield from _handlers(function, code, lambda _: True)
    # Of what a base class does before and after the body only what stands around it.
    calls = [method for task in limited for method in code.methods_of(task) if method.node.name == "__call__"]
    for function in code.reached(calls):
        if function not in bodies:
            yield from _handlers(function, code, partial(_runs_the_body, code=code, function=function))


def _handlers(function: Function, code: Code, is_meant: Callable[[list[ast.stmt]], bool]) -> Iterator[Answer]:
    for node in at_once(function.node.body):
        if isinstance(node, ast.Try | ast.TryStar) and is_meant(node.body):
            handler = _swallowing(node, code, function)
            if handler is not None:
                caught = ast.unparse(handler.type) if handler.type is not None else "everything"
                yield _answer(function, handler, f"except {caught}")
        elif isinstance(node, ast.With) and is_meant(node.body):
            for item in node.items:
                if _suppresses(item.context_expr, code, function) and _calls(node.body):
                    yield _answer(function, node, "suppress(Exception)")


def _runs_the_body(statements: list[ast.stmt], *, code: Code, function: Function) -> bool:
    """Whether the task's own body runs in there: `self.run(...)`, `super().__call__(...)`, or what comes to it."""
    calls = [node for node in at_once(statements) if isinstance(node, ast.Call)]
    if any(_is_the_body(call, function) for call in calls):
        return True
    below = [called for call in calls if (called := code.called(call, function.module, function)) is not None]
    return any(_is_the_body(site.call, each) for each in code.reached(below) for site in code.calls_in(each))


def _is_the_body(call: ast.Call, function: Function) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Name(id=owner), attr="run"):
            return function.parameters[:1] == [owner]
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__call__"):
            return True
    return False


def _answer(function: Function, node: ast.AST, text: str) -> Answer:
    return Answer(
        what=f"{function} takes the soft time limit for any other error, and goes on ({text})",
        about=f"{function} {text}",
        at=function.module.place(node),
    )


def _swallowing(node: ast.Try | ast.TryStar, code: Code, function: Function) -> ast.ExceptHandler | None:
    """The handler that the soft limit ends in, unless it passes it on."""
    if not _calls(node.body):
        return None
    for handler in node.handlers:
        names = _names(handler.type, code, function)
        if _SOFT in names:
            goes_on = all(isinstance(each, ast.Pass | ast.Continue) for each in handler.body)
            return handler if goes_on else None
        if handler.type is None or _BROAD & names:
            return None if _passes_on(handler) else handler
    return None


def _names(node: ast.expr | None, code: Code, function: Function) -> set[str]:
    if isinstance(node, ast.Name):
        node = next((each for each in [function.module.bound.get(node.id)] if isinstance(each, ast.Tuple)), node)
    elements = node.elts if isinstance(node, ast.Tuple) else [node] if node is not None else []
    return {(code.dotted(each, function.module, function) or "").rpartition(".")[2] for each in elements}


def _passes_on(handler: ast.ExceptHandler) -> bool:
    """Whether it raises, asks for a retry, or hands the error itself to its caller."""
    for node in at_once(handler.body):
        match node:
            case ast.Raise():
                return True
            case ast.Call(func=ast.Attribute(attr="retry")):
                return True
            case ast.Return(value=ast.expr() as value) if handler.name:
                if any(isinstance(each, ast.Name) and each.id == handler.name for each in ast.walk(value)):
                    return True
    return False


def _suppresses(node: ast.expr, code: Code, function: Function) -> bool:
    if not isinstance(node, ast.Call) or not (code.dotted(node.func, function.module, function) or "").endswith(
        "suppress"
    ):
        return False
    return any(_BROAD & _names(each, code, function) for each in node.args)


def _calls(body: list[ast.stmt]) -> bool:
    """Whether it does anything that takes time: without a call the limit has no chance to arrive."""
    return any(isinstance(node, ast.Call) for node in at_once(body))


RULE = Rule(
    name="soft-limit-swallowed",
    severity=Severity.ERROR,
    failure_modes=("F77",),
    asks="the soft time limit reaches the end of the body",
    hurts="SoftTimeLimitExceeded is an Exception and comes once: caught as one, the body goes on until the hard limit "
    "kills it, or ends as if all were done",
    fix="except SoftTimeLimitExceeded: raise, before the broad handler; or a handler for the errors that are meant",
    check=check,
    reads="tasks",
)
