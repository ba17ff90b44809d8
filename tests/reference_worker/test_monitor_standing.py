"""What may stand at the webhook, kept over a restart."""

from dataclasses import replace
from pathlib import Path

import pytest

from reference_worker.monitor.alerts import TOO_OLD, UNREACHABLE, Alert
from reference_worker.monitor.standing import Standing

OLD = Alert(name=TOO_OLD, queue="exports", summary="wartet längst", starts_at=7.25)
GONE = Alert(name=UNREACHABLE, queue="", summary="away", starts_at=9.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "not there yet" / "alerts.json"


def test_nothing_stands_at_first(path: Path) -> None:
    assert Standing(path).kept == ()


def test_what_was_kept_stands_after_a_restart(path: Path) -> None:
    Standing(path).keep([GONE, OLD])
    assert set(Standing(path).kept) == {OLD, GONE}


def test_an_end_that_is_not_delivered_leaves_its_alert_standing(path: Path) -> None:
    Standing(path).keep([replace(OLD, ends_at=8.0)])
    assert Standing(path).kept == (OLD,)


def test_what_is_over_stands_no_longer(path: Path) -> None:
    standing = Standing(path)
    standing.keep([OLD])
    standing.keep([])
    assert Standing(path).kept == ()


def test_of_an_alert_that_ended_and_fires_again_the_last_stands(path: Path) -> None:
    Standing(path).keep([replace(OLD, ends_at=8.0), replace(OLD, starts_at=20.0)])
    assert Standing(path).kept == (replace(OLD, starts_at=20.0),)


def test_what_could_not_be_written_is_written_the_next_time(path: Path) -> None:
    path.parent.write_bytes(b"")
    standing = Standing(path)
    standing.keep([OLD])
    path.parent.unlink()
    standing.keep([OLD])
    assert Standing(path).kept == (OLD,)


@pytest.mark.parametrize("hostile", [b"", b"{", b"7", b"[7]", b"[{}]", b"\xff", b'[{"name": "a", "queue": "b"}]'])
def test_a_file_that_cannot_be_read_is_nothing_that_stands_and_is_replaced(path: Path, hostile: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(hostile)
    standing = Standing(path)
    assert standing.kept == ()
    standing.keep([OLD])
    assert Standing(path).kept == (OLD,)
