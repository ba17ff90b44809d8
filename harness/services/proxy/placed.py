"""A toxic where it was put: its name, its direction, whom it meets."""

from typing import Any

import msgspec
from msgspec import Struct

from harness.services.proxy.toxics import CATALOGUE
from harness.services.proxy.toxics.base import Toxic

STREAMS = ("upstream", "downstream")


class ApiError(Exception):
    """What the API answers with; statuses and messages are Toxiproxy's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ToxicBody(Struct, frozen=True, kw_only=True):
    """What is posted to add a toxic. `clients` is ours: addresses, `address:port` or `:port`; empty means everyone."""

    name: str = ""
    type: str = ""
    stream: str = "downstream"
    toxicity: float = 1.0
    attributes: dict[str, Any] = {}
    clients: tuple[str, ...] = ()


class ToxicChange(Struct, frozen=True, kw_only=True):
    toxicity: float | None = None
    attributes: dict[str, Any] = {}
    clients: tuple[str, ...] | None = None


class Placed(Struct, frozen=True, kw_only=True):
    name: str
    type: str
    stream: str  # as it was written, in any case
    toxicity: float
    clients: tuple[str, ...]
    toxic: Toxic

    @property
    def directions(self) -> tuple[str, ...]:
        return STREAMS if self.toxic.BOTH_WAYS else (self.stream.lower(),)

    def meets(self, client: str) -> bool:
        """Whether it applies to a client, given as `address:port`."""
        host, _, port = client.rpartition(":")
        return not self.clients or not {client, host, f":{port}"}.isdisjoint(self.clients)

    def view(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "attributes": msgspec.to_builtins(self.toxic),
            "name": self.name,
            "type": self.type,
            "stream": self.stream,
            "toxicity": self.toxicity,
        }
        return shown | ({"clients": list(self.clients)} if self.clients else {})


def place(body: ToxicBody) -> Placed:
    """:raises ApiError: it names no stream or toxic, or its attributes are not those of the toxic"""
    if body.stream.lower() not in STREAMS:
        raise ApiError(400, "stream was invalid, can be either upstream or downstream")
    kind = CATALOGUE.get(body.type)
    if kind is None:
        raise ApiError(400, "invalid toxic type")
    return Placed(
        name=body.name or f"{body.type}_{body.stream}",
        type=body.type,
        stream=body.stream,
        toxicity=body.toxicity,
        clients=body.clients,
        toxic=read(body.attributes, kind),
    )


def changed(placed: Placed, change: ToxicChange) -> Placed:
    """:raises ApiError: the attributes are not those of the toxic"""
    attributes = msgspec.to_builtins(placed.toxic) | change.attributes
    return msgspec.structs.replace(
        placed,
        toxicity=placed.toxicity if change.toxicity is None else change.toxicity,
        clients=placed.clients if change.clients is None else change.clients,
        toxic=read(attributes, type(placed.toxic)),
    )


def read(value: Any, kind: Any) -> Any:
    """A posted value as what it should be. What is null counts as not said, unknown fields are passed over.

    :raises ApiError: it is something else
    """
    try:
        return msgspec.convert(_without_nulls(value), kind)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"bad request body: {error}") from None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value
