"""From `certify --certificate` to `verify`, on the subject that passes and the one that does not."""

import json
import shutil
from pathlib import Path

import pytest

from tests.certify.conftest import SUBJECTS
from tests.conftest import JobproofCommand

pytestmark = pytest.mark.timeout(400)


def copied(subject: str, tmp_path: Path) -> Path:
    folder = tmp_path / subject
    shutil.copytree(SUBJECTS / subject, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_what_passes_is_certified_and_is_stale_once_its_code_has_changed(
    jobproof: JobproofCommand, tmp_path: Path
) -> None:
    folder, home = copied("keyed", tmp_path), str(tmp_path / "home")
    words = ("--profile", "quick", "--seed", "7", "--certificate", "certificate.json")
    ran = jobproof("certify", "jobproof_contract.py", *words, cwd=folder, out=True, XDG_CONFIG_HOME=home)
    assert ran.code == 0, ran.out + ran.err

    assert jobproof("verify", "certificate.json", cwd=folder).out.startswith("intact: ")
    key = f"{home}/jobproof/certificate-key.pub.pem"
    genuine = jobproof("verify", "certificate.json", "--key", key, cwd=folder)
    assert (genuine.code, genuine.out.partition(":")[0]) == (0, "genuine")
    assert "F110" in genuine.out

    source = folder / "billing" / "tasks.py"
    source.write_text(source.read_text() + "# changed\n")
    stale = jobproof("verify", "certificate.json", "--key", key, cwd=folder)
    assert stale.code == 1
    assert "stale: the source tree has changed" in stale.out


def test_what_is_violated_is_certified_only_where_each_finding_is_accepted_by_name(
    jobproof: JobproofCommand, tmp_path: Path
) -> None:
    folder, home = copied("classic", tmp_path), str(tmp_path / "home")
    words = ("--profile", "quick", "--seed", "7", "--certificate", "certificate.json", "--accept", "effects-once")
    ran = jobproof("certify", "jobproof_contract.py", *words, cwd=folder, out=True, XDG_CONFIG_HOME=home)
    assert ran.code == 1, ran.out + ran.err
    assert not (folder / "certificate.json").exists()
    assert "no certificate: " in ran.err
    assert "no-dead-letter-path" in ran.err
    assert "effects-once" not in ran.err.partition("no certificate: ")[2]
    assert all(json.loads(path.read_text()) for path in ran.directory.glob("controls/*/result.json"))


def test_a_file_that_is_no_certificate_is_bad_input(jobproof: JobproofCommand, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    ran = jobproof("verify", "x.json", cwd=tmp_path)
    assert ran.code == 2
    assert "it is no certificate" in ran.err
