"""What stands at each path after all that was applied, for those who read it back."""

import msgspec

BODIES_KEPT_MAX = 1000


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    content_type: str
    body: bytes


class Shelf:
    """PUT and POST put a body at exactly their path, DELETE takes it away; other methods leave it as it is.

    Bodies longer than `bytes_kept`, and those beyond the first BODIES_KEPT_MAX paths, stand there as empty ones.
    """

    def __init__(self, *, bytes_kept: int) -> None:
        self._bytes_kept = bytes_kept
        self._things: dict[str, Thing] = {}

    def apply(self, label: str, headers: dict[str, str], body: bytes) -> None:
        method, _, path = label.partition(" ")
        if method == "DELETE":
            self._things.pop(path, None)
        elif method in {"PUT", "POST"}:
            kinds = (value for name, value in headers.items() if name.lower() == "content-type")
            kept = len(body) <= self._bytes_kept and (path in self._things or len(self._things) < BODIES_KEPT_MAX)
            kind = next(kinds, "application/octet-stream")
            self._things[path] = Thing(content_type=kind, body=body if kept else b"")

    def at(self, path: str) -> Thing | None:
        return self._things.get(path)
