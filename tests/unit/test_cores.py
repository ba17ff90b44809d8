"""How many cores there are for us, which is not how many the machine has."""

import os
from pathlib import Path

import pytest

from harness.cores import usable_cores

V1 = {"cpu/cpu.cfs_period_us": "100000\n"}


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        pytest.param({}, 8, id="no control groups"),
        pytest.param({"cpu.max": "max 100000\n"}, 8, id="version 2, no quota"),
        pytest.param({"cpu.max": "200000 100000\n"}, 2, id="version 2, a quota of two"),
        pytest.param({"cpu.max": "250000 100000\n"}, 3, id="a part of a core is one that can be used"),
        pytest.param({"cpu.max": "10000 100000\n"}, 1, id="less than one is one"),
        pytest.param({"cpu.max": "3200000 100000\n"}, 8, id="a quota of more than there is"),
        pytest.param({"cpu.max": "nonsense"}, 8, id="unreadable"),
        pytest.param({"cpu.max": "200000 0\n"}, 8, id="a period of nothing"),
        pytest.param({**V1, "cpu/cpu.cfs_quota_us": "-1\n"}, 8, id="version 1, no quota"),
        pytest.param({**V1, "cpu/cpu.cfs_quota_us": "150000\n"}, 2, id="version 1, a quota of one and a half"),
    ],
)
def test_a_quota_of_the_control_group_counts_as_cores(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == cores
