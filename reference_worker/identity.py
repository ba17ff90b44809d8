"""Which jobs are the same work."""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

_CHARACTERS_MAX = 255
_CHARACTERS_SHOWN = 180


def identity_of(name: str, run: Callable[..., Any], args: Any, kwargs: Any) -> str:
    """The task and its arguments, the same whether they are given by position or by name; plain ASCII, bounded.

    Never raises: the arguments may be anything that somebody could put into a message.
    """
    try:
        arguments = inspect.signature(run).bind(*args, **kwargs).arguments
        told = f"{name}({', '.join(f'{key}={value!a}' for key, value in sorted(arguments.items()))})"
    except Exception:  # arguments that the task does not take, or that cannot even be shown
        told = f"{name}{_shown(args)}{_shown(kwargs)}"
    if len(told) <= _CHARACTERS_MAX:
        return told
    return f"{told[:_CHARACTERS_SHOWN]}...{hashlib.sha256(told.encode()).hexdigest()}"


def _shown(value: Any) -> str:
    try:
        return ascii(value)
    except Exception:  # nested too deeply, for example
        return f"<{type(value).__name__}>"
