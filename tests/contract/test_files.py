"""The subject's files are read as they are, whatever lies there."""

import os
from pathlib import Path

import pytest

from harness.services import files
from harness.services.files import files_in
from harness.system import SubjectError


def test_every_file_below_a_folder_is_read_and_what_is_no_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "below" / "deeper").mkdir(parents=True)
    (tmp_path / "below" / "deeper" / "b").write_bytes(b"\xff\x00")
    (tmp_path / "a").write_text("")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "nowhere").symlink_to("gone")
    os.mkfifo(tmp_path / "pipe")
    found = {each.name: each.kept for each in files_in(tmp_path)}
    assert found == {"a": b"", "below/deeper/b": b"\xff\x00", "link": b"-> /etc/passwd", "nowhere": b"-> gone"}


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert files_in(tmp_path / "nowhere") == ()


def test_a_large_file_is_known_by_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "KEPT_BYTES_MAX", 10)
    for name, last in (("a", b"1"), ("b", b"2")):
        (tmp_path / name).write_bytes(bytes(1000) + last)
    one, two = files_in(tmp_path)
    assert (one.size, len(one.kept), one.is_whole) == (1001, 10, False)
    assert one.digest != two.digest


def test_a_folder_with_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FILES_MAX", 2)
    for number in range(3):
        (tmp_path / str(number)).touch()
    with pytest.raises(SubjectError, match="more than 2 files"):
        files_in(tmp_path)
