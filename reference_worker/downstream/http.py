"""What all HTTP clients share: which answers are worth another try."""

from typing import IO, Any

import requests

from reference_worker.downstream.errors import PermanentDownstreamError, TemporaryDownstreamError

# Worth another try although they are client errors: timeout, conflict with a concurrent request, rate limit.
_TEMPORARY = frozenset({408, 409, 429})


def send(
    method: str,
    url: str,
    *,
    timeout_seconds: float | None,
    headers: dict[str, str] | None = None,
    json: dict[str, Any] | None = None,
    body: IO[bytes] | None = None,
    expected: frozenset[int] = frozenset(),
) -> int:
    """The status, if it is 2xx or expected. `timeout_seconds` bounds connecting, and each silence after that.

    :raises TemporaryDownstreamError: nothing is known, or the service asked to come back
    :raises PermanentDownstreamError: it will never work
    """
    try:
        answer = requests.request(
            method, url, json=json, data=body, headers=headers, timeout=timeout_seconds, allow_redirects=False
        )
    except requests.RequestException as error:
        raise TemporaryDownstreamError(f"{method} {url}: {type(error).__name__}: {error}") from error
    status = answer.status_code
    if status in expected or 200 <= status < 300:  # noqa: PLR2004 - as HTTP has it
        return status
    said = f"{method} {url}: HTTP {status}"
    if status >= 500 or status in _TEMPORARY:  # noqa: PLR2004 - as HTTP has it
        raise TemporaryDownstreamError(said)
    raise PermanentDownstreamError(said)
