"""The planted bugs of the export do what they are planted for: each mistake shows."""

import os
import signal

import psutil
import pytest

from harness.waiting import wait_until
from tests.reference_worker.conftest import World
from tests.reference_worker.test_jobs import is_exported

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def killed_during_upload(world: World, bug: str) -> None:
    worker = world.start_worker("first", "exports", bug=bug)
    world.downstream.hold = "PUT /v1/exports"
    world.submit("generate_export", queue="exports", export_id="exp-1")
    world.wait(world.downstream.holding.is_set, "the file was not uploaded")
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    world.start_worker("second", "exports", bug=bug)
    assert world.redeliver() == 1
    world.wait(lambda: " succeeded in " in world.log("second"), "the message did not come back")


def test_without_takeover_nobody_does_what_a_dead_holder_began(world: World) -> None:
    killed_during_upload(world, "claim-without-takeover")
    assert not is_exported(world.database)


def test_without_fencing_an_upload_of_a_dead_holder_still_comes_through(world: World) -> None:
    killed_during_upload(world, "claim-without-fencing")
    world.downstream.let_go.set()
    world.wait(lambda: world.downstream.count("PUT /v1/exports/exp-1") == 2, "the late upload did not come through")


def test_scratch_files_with_a_name_are_left(world: World) -> None:
    world.start_worker("exporter", "exports", bug="temp-files-left")
    world.submit("generate_export", queue="exports", export_id="exp-1")
    world.wait(lambda: is_exported(world.database), "the export was not finished")
    assert list((world.directory / "scratch").iterdir())


def test_a_helper_in_its_own_session_outlives_its_worker(world: World) -> None:
    worker = world.start_worker("exporter", "exports", bug="orphan-process")
    family = psutil.Process(worker.pid)
    world.submit("generate_export", queue="exports", export_id="exp-1")
    world.wait(lambda: is_exported(world.database), "the export was not finished")
    helpers = [each for each in family.children(recursive=True) if "time.sleep(120)" in " ".join(each.cmdline())]
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    try:
        assert [each for each in helpers if each.is_running()]
    finally:
        for each in helpers:
            each.kill()
            wait_until(lambda each=each: not each.is_running(), within=5, or_else="the helper did not end")


def test_the_correct_worker_finishes_what_a_dead_holder_began(world: World) -> None:
    killed_during_upload(world, "")
    assert is_exported(world.database)
