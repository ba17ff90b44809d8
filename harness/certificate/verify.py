"""Is a certificate genuine, and does it still speak of this code?"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from harness.certificate.digests import COMMIT, IMAGE, digests_of
from harness.certificate.dsse import Envelope, is_signed_by, keyid_of, payload_of
from harness.certificate.keys import from_pem
from harness.certificate.statement import PREDICATE_TYPE, STATEMENT_TYPE, Certified, Statement
from harness.codec import UnreadableError
from harness.contract_file import working_directory
from harness.runtimes.subject import found_python
from harness.system import SubjectError

BYTES_MAX = 16 << 20
State = Literal["genuine", "intact", "stale", "tampered"]


class Checked(Struct, frozen=True, kw_only=True):
    """`state` is one of these.

    * genuine: signed by the key that was given, and of this code
    * intact: unchanged since it was signed, and of this code; by whom is not known
    * stale: of other code, or expired
    * tampered: not what was signed
    """

    state: State
    because: tuple[str, ...]
    certified: Certified | None = None


def verify(path: Path, *, key: Ed25519PublicKey | None) -> Checked:
    """:raises UnreadableError: it is no certificate"""
    envelope, statement = _read(path)
    own = statement.predicate.jobproof
    try:
        embedded = from_pem(own.public_key)
    except ValueError as error:
        return Checked(state="tampered", because=(f"the key in it cannot be read: {error}",))
    if not is_signed_by(envelope, embedded):
        return Checked(state="tampered", because=("its signature does not fit what it says",))
    if key is not None and not is_signed_by(envelope, key):
        because = f"it was not signed by the key that was given but by {keyid_of(embedded)[:16]}"
        return Checked(state="tampered", because=(because,))
    if old := _stale(path, own):
        return Checked(state="stale", because=old, certified=own)
    if key is not None:
        return Checked(state="genuine", because=("it was signed by the key that was given",), certified=own)
    because = f"it is as it was signed, by a key that nobody vouches for here ({keyid_of(embedded)[:16]})"
    return Checked(state="intact", because=(because,), certified=own)


def _read(path: Path) -> tuple[Envelope, Statement]:
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
        envelope = msgspec.json.decode(data, type=Envelope)
        statement = msgspec.json.decode(payload_of(envelope), type=Statement)
    except OSError as error:
        raise UnreadableError(f"{path}: it cannot be read ({error.strerror})") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnreadableError(f"{path}: it is no certificate: {error}") from error
    if (statement.kind, statement.predicate_type) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise UnreadableError(f"{path}: it is a statement about something else")
    return envelope, statement


def _is_over(expires: str) -> bool:
    """Also where it is no time of any zone."""
    try:
        return datetime.now(UTC) >= datetime.fromisoformat(expires)
    except (ValueError, TypeError):
        return True


def _stale(path: Path, own: Certified) -> tuple[str, ...]:
    """What is not as it was certified; a commit alone may be another one, with the same tree.

    An image is not looked for: which one runs where is not known here.
    """
    why = [f"it expired at {own.expires}"] if _is_over(own.expires) else []
    contract = Path(own.contract_file)
    # Whoever made the certificate does not choose which folders of this machine are read.
    if not contract.is_file() or not contract.resolve().is_relative_to(Path.cwd().resolve()):
        return (*why, f"the contract {own.contract_file} is not below this folder; verify where it was certified")
    root = working_directory(contract)
    try:
        python = found_python(own.python, root)
    except SubjectError as error:
        return (*why, str(error))
    now = digests_of(contract, root, python=python, leave_out=path)
    changed = [name for name, digest in own.digests.items() if name not in {COMMIT, IMAGE} and now.get(name) != digest]
    return (*why, *(f"the {name} has changed" for name in changed))
