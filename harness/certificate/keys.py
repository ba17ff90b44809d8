"""The local key that signs, and public keys that are given."""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class KeyFileError(ValueError):
    """A file holds no key that can be used; the message names it."""


def default_path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "jobproof" / "certificate-key.pem"


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The key of a file that only its owner can read; made, with its public half beside it, where there is none.

    :raises KeyFileError: it is no Ed25519 key, or cannot be read or made
    """
    try:
        if not path.exists():
            return _made(path)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path}: no key could be had ({error})") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: it is no Ed25519 key")
    return key


def _made(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(private)
    path.with_suffix(".pub.pem").write_text(pem_of(key.public_key()), encoding="ascii")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """:raises KeyFileError: it is no public Ed25519 key, or cannot be read"""
    try:
        return from_pem(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise KeyFileError(f"{path}: no public key could be had ({error})") from error


def pem_of(key: Ed25519PublicKey) -> str:
    shape = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, shape).decode()


def from_pem(text: str) -> Ed25519PublicKey:
    """:raises ValueError: it is none"""
    try:
        key = serialization.load_pem_public_key(text.encode())
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("it is no Ed25519 key")  # noqa: TRY004 - of a text, not of a type
    return key
