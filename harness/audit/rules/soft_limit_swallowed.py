import ast
from collections.abc import Iterator

from harness.audit.code import Code, Function, at_once
from harness.audit.finding import Answer, Rule, Severity, Subject

_BROAD = frozenset({"Exception", "BaseException"})
_SOFT = "SoftTimeLimitExceeded"


def check(subject: Subject) -> Iterator[Answer]:
    code = subject.code
    roots = [
        function
        for task in subject.facts.tasks
        if task.seconds("soft_time_limit") is not None and (function := code.function_of(task)) is not None
    ]
    for function in code.reached(roots):
        for node in at_once(function.node.body):
            if isinstance(node, ast.Try | ast.TryStar):
                handler = _swallowing(node, code, function)
                if handler is not None:
                    caught = ast.unparse(handler.type) if handler.type is not None else "everything"
                    yield _answer(function, handler, f"except {caught}")
            elif isinstance(node, ast.With):
                for item in node.items:
                    if _suppresses(item.context_expr, code, function) and _calls(node.body):
                        yield _answer(function, node, "suppress(Exception)")


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
