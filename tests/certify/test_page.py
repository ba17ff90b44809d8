"""The first steps of docs/certify.md, as they are written there."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.certify.conftest import SUBJECTS
from tests.conftest import ROOT, JobproofCommand

PAGE = (ROOT / "docs" / "certify.md").read_text()


@pytest.mark.timeout(300)
def test_the_three_commands_of_the_page_are_run_one_after_the_other(jobproof: JobproofCommand, tmp_path: Path) -> None:
    folder = tmp_path / "classic"
    shutil.copytree(SUBJECTS / "classic", folder, ignore=shutil.ignore_patterns("jobproof_contract.py", "__pycache__"))
    block = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    codes = [jobproof(*shlex.split(line.partition("#")[0])[1:], cwd=folder).code for line in block[1].splitlines()]
    assert codes == [1, 0, 2]  # findings of the audit; written; the contract is not finished


def test_the_contract_of_the_page_is_the_one_of_the_subject() -> None:
    block = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    assert block[1] == (SUBJECTS / "classic" / "jobproof_contract.py").read_text()
