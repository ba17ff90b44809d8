"""A certificate is refused with its reasons, says what it speaks of, and is found out when it does not any more."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.certificate.digests import digests_of, distributions, tree_digest
from harness.certificate.dsse import Envelope, encoded, is_signed_by, payload_of, sign
from harness.certificate.keys import KeyFileError, pem_of, public_key, signing_key
from harness.certificate.statement import Control, Statement, refused, statement
from harness.certificate.verify import verify
from harness.certify.result import SCHEMA_VERSION, Certification, Coverage, Finding
from harness.codec import UnreadableError, encode, pretty
from harness.result import Outcome, Result

CAUGHT = (Control(bug="check-then-send", scenario="s", guarantee="effects-once", caught=True),)
NOW = datetime.now(UTC)


def certification(*findings: Finding, outcome: Outcome = "held") -> Certification:
    return Certification(
        schema_version=SCHEMA_VERSION,
        outcome=outcome,
        subject="shop",
        app="shop:app",
        profile="quick",
        seed=7,
        began="",
        seconds=1.0,
        versions={"celery": "5.7.0"},
        tasks=(),
        scenarios={"fault-free": "held"},
        findings=findings,
        accepted=(),
        left_out=(),
        coverage=Coverage(tested=("F24",), audited=(), not_covered=("F110",)),
        replay="",
    )


def finding(name: str = "effects-once", task: str = "shop.mail", status: Outcome = "violated") -> Finding:
    return Finding(
        part="run",
        status=status,
        name=name,
        task=task,
        where="",
        because="doubled",
        hurts="",
        windows=(),
        fix="",
        failure_modes=(),
    )


# --- refusing ---


def test_what_held_and_whose_controls_were_caught_is_not_refused() -> None:
    assert refused(certification(), CAUGHT, ()) == ()


@pytest.mark.parametrize(
    ("found", "controls", "accepted", "words"),
    [
        (certification(finding(), outcome="violated"), CAUGHT, (), "effects-once violated of shop.mail"),
        (certification(finding(status="unknown"), outcome="unknown"), CAUGHT, (), "effects-once unknown of shop.mail"),
        (
            certification(finding(), outcome="violated"),
            CAUGHT,
            ("no-orphans",),
            "--accept no-orphans: there is no such",
        ),
        (certification(), (), (), "no planted bug was looked for"),
        (certification(), (msgspec.structs.replace(CAUGHT[0], caught=False),), (), "check-then-send was not found"),
        (certification(outcome="unknown"), CAUGHT, (), "the outcome is unknown"),
    ],
)
def test_a_certificate_is_refused_with_its_reason(
    found: Certification, controls: tuple[Control, ...], accepted: tuple[str, ...], words: str
) -> None:
    assert any(words in why for why in refused(found, controls, accepted))


@pytest.mark.parametrize("name", ["effects-once", "effects-once:shop.mail"])
def test_an_accepted_finding_does_not_refuse_it_and_stands_in_it(name: str) -> None:
    found = certification(finding(), outcome="violated")
    assert refused(found, CAUGHT, (name,)) == ()
    told = stated(found, accepted=(name,)).predicate
    assert [each.name for each in told.jobproof.accepted] == ["effects-once"]
    assert told.result == "WARNED"


def stated(found: Certification, *, key: Ed25519PrivateKey | None = None, **changes: Any) -> Statement:
    result = Result(
        schema_version=1,
        outcome="held",
        subject="shop",
        bug="",
        seed=7,
        began="",
        seconds=1.0,
        versions={},
        scenarios=(),
        replay="",
    )
    key = key or Ed25519PrivateKey.generate()
    words: dict[str, Any] = {
        "contract_file": "contract.py",
        "python": "",
        "digests": {"source tree": "00", "commit": "11"},
        "settings": {},
        "controls": CAUGHT,
        "accepted": (),
        "issued": NOW,
        "days": 30,
        "public_key": pem_of(key.public_key()),
    }
    return statement(found, result, [], **{**words, **changes})


def test_it_is_an_in_toto_statement_that_names_what_was_not_covered() -> None:
    told = msgspec.json.decode(encode(stated(certification())))
    assert told["_type"] == "https://in-toto.io/Statement/v1"
    assert told["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert told["subject"][0] == {"name": "shop", "digest": {"sha256": "00"}}
    assert told["predicate"]["result"] == "PASSED"
    assert told["predicate"]["passedTests"] == ["scenario fault-free"]
    assert told["predicate"]["jobproof"]["not_covered"] == {"F110": "a claim was left by a dead worker"}
    assert told["predicate"]["jobproof"]["contained"] is False


# --- signing ---


def test_what_is_signed_is_encoded_as_the_specification_has_it() -> None:
    assert encoded("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_a_signature_is_the_keys_own_over_this_payload() -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    envelope = sign(b"{}", key)
    assert payload_of(envelope) == b"{}"
    assert is_signed_by(envelope, key.public_key())
    assert not is_signed_by(envelope, other.public_key())
    changed = msgspec.structs.replace(envelope, payload=base64.b64encode(b"{ }").decode())
    assert not is_signed_by(changed, key.public_key())


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "own.pem"
    first = signing_key(path)
    assert path.stat().st_mode & 0o077 == 0
    assert signing_key(path).private_bytes_raw() == first.private_bytes_raw()
    assert public_key(path.with_suffix(".pub.pem")).public_bytes_raw() == first.public_key().public_bytes_raw()


def test_what_is_no_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no key")
    with pytest.raises(KeyFileError, match=r"x\.pem"):
        signing_key(tmp_path / "x.pem")
    with pytest.raises(KeyFileError, match=r"x\.pem"):
        public_key(tmp_path / "x.pem")


# --- verifying ---


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "contract.py").write_text("CONTRACT = 1\n")
    (tmp_path / "tasks.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(shop: Path, key: Ed25519PrivateKey, **changes: Any) -> Path:
    path = shop / "certificate.json"
    digests = digests_of(shop / "contract.py", shop, python="/nowhere/bin/python", leave_out=path)
    told = stated(certification(), key=key, **{"digests": digests, **changes})
    path.write_bytes(pretty(sign(encode(told), key)))
    return path


def test_unchanged_it_is_intact_and_with_the_key_genuine(shop: Path) -> None:
    key = Ed25519PrivateKey.generate()
    path = written(shop, key)
    assert verify(path, key=None).state == "intact"
    assert verify(path, key=key.public_key()).state == "genuine"


def test_another_key_did_not_sign_it(shop: Path) -> None:
    path = written(shop, Ed25519PrivateKey.generate())
    assert verify(path, key=Ed25519PrivateKey.generate().public_key()).state == "tampered"


def test_a_changed_word_is_found_out(shop: Path) -> None:
    path = written(shop, Ed25519PrivateKey.generate())
    envelope = msgspec.json.decode(path.read_bytes(), type=Envelope)
    body = payload_of(envelope).replace(b'"quick"', b'"full"')
    path.write_bytes(encode(msgspec.structs.replace(envelope, payload=base64.b64encode(body).decode())))
    assert verify(path, key=None).state == "tampered"


@pytest.mark.parametrize(("name", "what"), [("tasks.py", "source tree"), ("contract.py", "contract")])
def test_changed_code_makes_it_stale_and_says_what_changed(shop: Path, name: str, what: str) -> None:
    path = written(shop, Ed25519PrivateKey.generate())
    (shop / name).write_text("x = 2\n")
    checked = verify(path, key=None)
    assert checked.state == "stale"
    assert f"the {what} has changed" in checked.because


@pytest.mark.parametrize("days", [-1, 0])
def test_it_expires(shop: Path, days: int) -> None:
    assert verify(written(shop, Ed25519PrivateKey.generate(), days=days), key=None).state == "stale"


def test_a_contract_of_another_folder_is_not_looked_at(shop: Path) -> None:
    path = written(shop, Ed25519PrivateKey.generate(), contract_file="/etc/passwd")
    checked = verify(path, key=None)
    assert checked.state == "stale"
    assert "is not below this folder" in checked.because[0]


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"payloadType":"x","payload":"e30=","signatures":[]}', b"[" * 100000]
)
def test_what_is_no_certificate_is_said(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "c.json").write_bytes(data)
    with pytest.raises(UnreadableError, match="it is no certificate"):
        verify(tmp_path / "c.json", key=None)


# --- digests ---


def test_environments_caches_and_our_own_reports_are_no_source(shop: Path) -> None:
    before = tree_digest(shop, leave_out=shop / "certificate.json")
    for name, file in (("venv", "pyvenv.cfg"), ("__pycache__", "x.pyc"), ("report", "certify.json")):
        (shop / name).mkdir()
        (shop / name / file).write_text("x")
    (shop / "certificate.json").write_text("x")
    assert tree_digest(shop, leave_out=shop / "certificate.json") == before
    (shop / "tasks.py").chmod(0o755)
    assert tree_digest(shop, leave_out=shop / "certificate.json") != before


def test_what_is_installed_is_read_and_no_python_is_run(tmp_path: Path) -> None:
    folder = tmp_path / "venv" / "lib" / "python3.11" / "site-packages" / "tea-1.2.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Name: tea\nVersion: 1.2\n")
    (tmp_path / "venv" / "bin").mkdir()
    assert distributions(str(tmp_path / "venv" / "bin" / "python")) == ("tea==1.2",)
