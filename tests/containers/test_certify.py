"""A team's image is certified as it is: its settings and its source are read in it, and it has no way out."""

import io
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from harness.audit.rules import CATALOGUE as RULES
from harness.certificate.dsse import Envelope, payload_of
from harness.certificate.issue import issue
from harness.certificate.statement import Control, Statement
from harness.certify.certify import Asked, Certifier
from harness.certify.profiles import QUICK
from harness.certify.result import Certification
from harness.cli_deployed import opened
from harness.contract_file import compile_contract
from harness.plan import RuntimeChoice
from harness.report.certification import progress
from harness.session import open_session
from scenarios import CATALOGUE, FAULT_FREE
from tests.conftest import ROOT
from tests.containers.conftest import BASE

KEYED = ROOT / "tests" / "subjects" / "keyed"
TAG = "jobproof-test/keyed:1"
CAUGHT = (Control(bug="check-then-send", scenario="s", guarantee="effects-once", caught=True),)


@pytest.fixture
def image(daemon: Any) -> Iterator[str]:
    """The digest of an image that a team has built; its source is in a folder of its own."""
    from harness.runtimes.docker import images

    dockerfile = f"FROM {images.own(daemon, BASE).name}\nWORKDIR /srv/team\nCOPY billing ./billing\n"
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        tar.add(KEYED / "billing", "billing")
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        tar.addfile(entry, io.BytesIO(dockerfile.encode()))
    context.seek(0)
    built, _ = daemon.images.build(fileobj=context, custom_context=True, tag=TAG, rm=True, forcerm=True)
    yield built.id
    daemon.images.remove(built.id, force=True)


def certified(contract_file: Path, directory: Path) -> Certification:
    """By as little as there is: one scenario beside the fault-free one, and the crashes of a child."""
    choice = RuntimeChoice(name="docker", image=TAG, base_image=BASE)
    asked = Asked(
        contract_file=str(contract_file),
        profile=replace(QUICK, only=("delivered-twice",), budget_seconds=120.0),
        seed=7,
        lanes=1,
        import_seconds=60.0,
        accepted={},
        twin=FAULT_FREE,
        catalogue=CATALOGUE,
        rules=RULES,
        runtime=choice,
    )
    contract = compile_contract(contract_file)
    again = partial(opened, choice, path=contract_file, named=True)
    with (
        progress(contract, "quick", seed=7, quiet=True) as listener,
        open_session(in_memory=True) as session,
        again(session) as runtime,
    ):
        certifier = Certifier(
            contract, asked, directory=directory, session=session, runtime=runtime, again=again, listener=listener
        )
        return certifier.carry_out()


def test_an_image_is_certified_by_its_digest_as_contained(image: str, tmp_path: Path) -> None:
    contract_file = tmp_path / "jobproof_contract.py"  # and nothing of the source beside it
    contract_file.write_text((KEYED / "jobproof_contract.py").read_text())
    (tmp_path / "out").mkdir()
    found = certified(contract_file, tmp_path / "out")
    assert (found.outcome, found.findings) == ("held", ())
    (task,) = found.tasks
    assert (task.survived, task.tried, task.learnt) == (2, 2, ("attempts_max", "effects", "wait_seconds_max"))
    assert task.where.startswith("billing/tasks.py:")
    assert f"--runtime docker --image {TAG}" in found.replay

    certificate = tmp_path / "certificate.json"
    refused = issue(
        certificate,
        found,
        directory=tmp_path / "out",
        contract_file=contract_file,
        python="",
        controls=CAUGHT,
        accepted=(),
        key_file=tmp_path / "key.pem",
        days=1,
    )
    assert refused == ()
    payload = payload_of(msgspec.json.decode(certificate.read_bytes(), type=Envelope))
    told = msgspec.json.decode(payload, type=Statement)
    own = told.predicate.jobproof
    assert own.contained
    assert f"sha256:{own.digests['image']}" == image
    assert "image" in {each.name for each in told.subject}
    assert "distributions" not in own.digests  # they are the image's, and this machine's are nobody's business
