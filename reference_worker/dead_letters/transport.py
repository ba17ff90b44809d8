"""A Redis transport that survives what is not even an envelope.

kombu takes every item of a queue for a JSON object with certain fields. Another one ends Celery's main process, or is
taken for a lost connection, again and again. Here the item is looked at first, and set aside if it is none.
"""

import base64
import sys
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, get_transport_cls, redis, virtual
from kombu.utils import json as kombu_json_module
from kombu.utils.objects import cached_property
from redis.exceptions import ConnectionError as RedisConnectionError

from reference_worker.dead_letters import inflating, letter
from reference_worker.dead_letters.office import Office

kombu_json: Any = kombu_json_module  # half typed
# Between its queue and its letter an item stands here, so that the death of the worker does not lose it.
PARKED_KEY = "reference_worker.unreadable"
_PARKED_MAX = 100


class Message(virtual.Message):
    """kombu's message, but a body that would become too large stays compressed, and is what it could not decode."""

    def __init__(self, payload: dict[str, Any], channel: Any = None, **options: Any) -> None:
        compression = (payload.get("headers") or {}).get("compression")
        if compression:
            try:
                packed = channel.decode_body(payload.get("body"), payload["properties"].get("body_encoding"))
                inflating.check(packed, compression, bytes_max=channel.office.body_bytes_max)
            except Exception:
                # As kombu keeps its own; where there is one already, it undoes no compression.
                self.errors = [sys.exc_info()]
        construct: Any = super().__init__  # half typed
        construct(payload, channel=channel, **options)


class Channel(redis.Channel):
    """kombu's channel, but nothing unreadable gets past the client that reads the queues."""

    Message = Message
    office: Office

    @cached_property
    def client(self) -> Any:
        create: Any = self._create_client  # half typed
        client = create(asynchronous=True)
        parse = client.parse_response

        def parse_response(connection: Any, command_name: str, **options: Any) -> Any:
            answer = parse(connection, command_name, **options)
            if command_name != "BRPOP" or not answer:
                return answer
            key, item = answer
            problem = why_unreadable(item)
            if problem is None:
                return answer
            self._set_aside(key.decode().rsplit(self.sep, 1)[0], item, problem)
            return None  # as if nothing had come

        client.parse_response = parse_response
        return client

    def _connparams(self, asynchronous: bool = False) -> Any:
        """Celery's reconnecting forgives the errors of a connection and no others.

        kombu 5.7 closes a channel whose connection is gone by giving back what is unacknowledged, looks up where to
        connect, and finds nothing: an AttributeError, which ends the main process after a broker's restart.
        """
        if getattr(self.connection, "client", None) is None:
            raise RedisConnectionError("the connection of this channel has been closed")
        connparams: Any = super()._connparams  # half typed
        return connparams(asynchronous=asynchronous)

    def _set_aside(self, queue: str, item: bytes, problem: str) -> None:
        parked = kombu_json.dumps([queue, problem, base64.b64encode(item).decode()])
        with self.conn_or_acquire() as client:
            client.rpush(PARKED_KEY, parked)
        _hand_in(self, self.office, parked)


def use(office: Office) -> None:
    """Let `redis://` and `rediss://` mean this transport, in this process, for workers and publishers.

    Not by `broker_transport`: with it kombu no longer sees that a `rediss://` URL asks for TLS.

    :raises RuntimeError: a connection was made before; it and its like would not be protected
    """
    channel = type("Channel", (Channel,), {"office": office})
    transport = type("Transport", (redis.Transport,), {"Channel": channel})
    aliases: dict[str, Any] = TRANSPORT_ALIASES
    for alias in ("redis", "rediss"):
        aliases[alias] = lambda: transport
        if get_transport_cls(alias) is not transport:
            raise RuntimeError(f"the transport for {alias}:// was in use before it could be replaced")


def recover(connection: Any, office: Office) -> None:
    """Hand in what a worker that died had parked. A letter that another worker writes as well is one letter."""
    channel = connection.default_channel
    if not isinstance(channel, Channel):
        return
    with channel.conn_or_acquire() as client:
        parked = client.lrange(PARKED_KEY, 0, _PARKED_MAX - 1)
    for each in parked:
        _hand_in(channel, office, each)  # what this process itself still waits to write is passed over


def why_unreadable(item: bytes) -> str | None:
    """What keeps kombu from making a message of it, or None."""
    try:
        payload = kombu_json.loads(item.decode())
        kombu_json.dumps([payload, "", ""])  # as it is kept until it is acknowledged
    except Exception as error:  # hostile: not UTF-8, not JSON, nested too deeply, a date that is none
        return f"not an envelope: {type(error).__name__}: {error}"
    if not isinstance(payload, dict):
        return f"not an envelope: JSON, but {type(payload).__name__}"
    return _why_no_envelope(payload)


def _why_no_envelope(payload: dict[str, Any]) -> str | None:
    properties = payload.get("properties")
    if not isinstance(properties, dict):
        return "not an envelope: no properties"
    delivery = properties.get("delivery_info")
    encoding = properties.get("body_encoding")
    body = payload.get("body")
    holds = {
        "no delivery tag": isinstance(properties.get("delivery_tag"), str),
        "no delivery info": isinstance(delivery, dict)
        and all(isinstance(delivery.get(name), str) for name in ("exchange", "routing_key")),
        "headers are no object": isinstance(payload.get("headers"), dict | None),
        "the body is no string": isinstance(body, str | None),
        "unknown body encoding": isinstance(encoding, str | None) and encoding in {None, "utf-8", "base64"},
        "the body is not base64": encoding != "base64" or not isinstance(body, str) or _is_base64(body),
    }
    return next((f"not an envelope: {problem}" for problem, is_held in holds.items() if not is_held), None)


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text.encode())
    except ValueError:  # binascii.Error, UnicodeEncodeError
        return False
    return True


def _hand_in(channel: Channel, office: Office, parked: Any) -> None:
    queue, problem, item = kombu_json.loads(parked)
    dead = letter.of_raw_item(base64.b64decode(item), queue=queue, reason=problem)
    if office.is_waiting(dead.message_id):
        return

    def forget() -> None:
        with channel.conn_or_acquire() as client:
            # All of them: the same bytes again are the same letter.
            client.lrem(PARKED_KEY, 0, parked)

    office.set_aside(dead, then=forget)
