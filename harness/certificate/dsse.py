"""Dead Simple Signing Envelope, version 1, with Ed25519 (https://github.com/secure-systems-lab/dsse)."""

import base64
import binascii
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class Signature(Struct, frozen=True, kw_only=True):
    keyid: str
    sig: str


class Envelope(Struct, frozen=True, kw_only=True, rename={"payload_type": "payloadType"}):
    payload_type: str
    payload: str
    signatures: tuple[Signature, ...]


def encoded(payload_type: str, body: bytes) -> bytes:
    """What is signed: the pre-authentication encoding of a payload and its type."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def sign(body: bytes, key: Ed25519PrivateKey) -> Envelope:
    signature = key.sign(encoded(PAYLOAD_TYPE, body))
    told = Signature(keyid=keyid_of(key.public_key()), sig=base64.b64encode(signature).decode())
    return Envelope(payload_type=PAYLOAD_TYPE, payload=base64.b64encode(body).decode(), signatures=(told,))


def payload_of(envelope: Envelope) -> bytes:
    """:raises ValueError: it is of another type, or no base64"""
    if envelope.payload_type != PAYLOAD_TYPE:
        raise ValueError(f"its payload is {envelope.payload_type!r} and not {PAYLOAD_TYPE!r}")
    try:
        return base64.b64decode(envelope.payload, validate=True)
    except binascii.Error as error:
        raise ValueError(f"its payload is no base64 ({error})") from error


def is_signed_by(envelope: Envelope, key: Ed25519PublicKey) -> bool:
    """Whether one of its signatures is the key's, over the payload and its type."""
    try:
        signed = encoded(envelope.payload_type, payload_of(envelope))
    except ValueError:
        return False
    for each in envelope.signatures:
        try:
            key.verify(base64.b64decode(each.sig, validate=True), signed)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


def keyid_of(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()
