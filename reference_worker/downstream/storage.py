"""The file storage. It takes no key but a fencing token: what comes with a lower one than its path has seen before is
refused with 412, reading included, and reading with a higher one raises what the path has seen.
"""

from http import HTTPStatus
from typing import IO
from urllib.parse import quote

from reference_worker.downstream import http
from reference_worker.downstream.errors import FencedOffError

_EXPECTED = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED})


def holds(export_id: str, *, token: int | None, url: str, timeout_seconds: float) -> bool:
    """Whether the file is there. With a token, no request of an earlier holder can change that any more.

    :raises FencedOffError: somebody has come with a higher token
    """
    status = http.send(
        "HEAD", _path(url, export_id), headers=_fence(token), timeout_seconds=timeout_seconds, expected=_EXPECTED
    )
    _let_pass(status, export_id)
    return status != HTTPStatus.NOT_FOUND


def put(export_id: str, body: IO[bytes], *, token: int | None, url: str, timeout_seconds: float) -> None:
    """Store the file.

    :raises FencedOffError: somebody has come with a higher token
    """
    status = http.send(
        "PUT",
        _path(url, export_id),
        body=body,
        headers={"Content-Type": "application/json", **_fence(token)},
        timeout_seconds=timeout_seconds,
        expected=frozenset({HTTPStatus.PRECONDITION_FAILED}),
    )
    _let_pass(status, export_id)


def _path(url: str, export_id: str) -> str:
    return f"{url}/v1/exports/{quote(export_id, safe='')}"


def _fence(token: int | None) -> dict[str, str]:
    return {} if token is None else {"X-Fencing-Token": str(token)}


def _let_pass(status: int, export_id: str) -> None:
    if status == HTTPStatus.PRECONDITION_FAILED:
        raise FencedOffError(f"the storage has seen a higher token for {export_id}")
