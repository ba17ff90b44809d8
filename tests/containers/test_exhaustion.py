"""What a host can run out of: that each fault lands, as whoever works there sees it, and that it heals."""

import threading
from pathlib import Path
from typing import Any

from harness.faults import ExhaustFiles, ExhaustProcesses, FillDisk, ProtectDisk
from harness.waiting import wait_until
from tests.containers.conftest import Deploy
from tests.containers.test_hosts import hurt
from tests.containers.test_operations import SECONDS_MAX, applied, drained

WRITE = """
import errno, os, tempfile
for folder in ({directory!r}, {directory!r} + "/below", "/tmp"):
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"1")
        print("written")
    except OSError as error:
        print(errno.errorcode[error.errno])
print(open({directory!r} + "/there").read())
"""
FORK = """
import errno, os, time
for when in ("meanwhile", "afterwards"):
    while not os.path.exists(f"{directory}/{{when}}"):
        time.sleep(0.02)
    try:
        if (child := os.fork()) == 0:
            os._exit(0)
        said = str(os.waitpid(child, 0)[1])
    except OSError as error:
        said = errno.errorcode[error.errno]
    with open(f"{directory}/.said", "w") as file:
        file.write(said)
    os.rename(f"{directory}/.said", f"{directory}/said-{{when}}")
"""


def container_of(daemon: Any, system: Any) -> Any:
    return daemon.containers.get(system.lane.container_of(system.workers.nodes["w"].pid))


def test_a_disk_is_full_or_read_only_for_one_worker_alone_and_then_it_is_not(daemon: Any, deploy: Deploy) -> None:
    with deploy() as system:
        directory: Path = system.home.directory
        (directory / "there").write_text("kept")
        (directory / "below").mkdir(mode=0o777)
        (directory / "below").chmod(0o777)
        worker = container_of(daemon, system)

        def written() -> list[str]:
            program = WRITE.format(directory=str(directory))
            return str(worker.exec_run(["python", "-c", program]).output.decode()).split()

        assert written() == ["written", "written", "written", "kept"]
        for fault, reason in ((FillDisk(), "ENOSPC"), (ProtectDisk(), "EROFS")):
            with hurt(system, fault) as evidence:
                assert evidence().targets == ("disk of worker 'w'",)
                assert written() == [reason, reason, reason, "kept"]
                (directory / "below" / "from-outside").write_text("nobody else is hurt")
            assert written() == ["written", "written", "written", "kept"]
            assert (directory / "below" / "from-outside").read_text() == "nobody else is hurt"
            drained(system)


def test_a_file_that_is_being_written_is_not_taken_for_one_that_lasts(daemon: Any, deploy: Deploy) -> None:
    """A journal that were still seen there, once its transaction is over, would be played back."""
    with deploy() as system:
        journal: Path = system.home.directory / "journal"
        worker = container_of(daemon, system)

        def end_transaction() -> None:
            journal.unlink()
            writing.close()

        with journal.open("w") as writing:
            threading.Timer(0.5, end_transaction).start()
            with hurt(system, FillDisk()):
                assert not journal.exists()
                assert worker.exec_run(["ls", str(journal.parent)]).output == b""
        drained(system)


def test_no_process_can_be_started_and_then_it_can(daemon: Any, deploy: Deploy) -> None:
    with deploy() as system:
        directory: Path = system.home.directory

        def forked(when: str) -> str:
            (directory / when).touch()
            said = directory / f"said-{when}"
            wait_until(said.exists, within=SECONDS_MAX, or_else="nobody tried")
            return said.read_text()

        worker = container_of(daemon, system)
        worker.exec_run(["python", "-c", FORK.format(directory=directory)], detach=True)
        limit = worker.attrs["HostConfig"]["PidsLimit"]
        with hurt(system, ExhaustProcesses()) as evidence:
            assert evidence() is None  # nobody has wanted one yet
            assert forked("meanwhile") == "EAGAIN"
            assert evidence().targets == ("processes of worker 'w'",)
        assert forked("afterwards") == "0"
        worker.reload()
        assert worker.attrs["HostConfig"]["PidsLimit"] == limit
        drained(system)


def test_no_file_can_be_opened_and_then_it_can_and_the_probe_tells_all_of_it(deploy: Deploy, tmp_path: Path) -> None:
    with deploy() as system:
        job = system.plan.workload[0].job
        log = system.lane.directory / "w.log"
        with hurt(system, ExhaustFiles()) as evidence:
            assert evidence().targets == ("open files of worker 'w'",)
            system.gate.reset()
            assert system.messages.wait_attempt_ended(job, within=SECONDS_MAX)
            wait_until(lambda: "Too many open files" in log.read_text(), within=SECONDS_MAX, or_else="no EMFILE")
            assert applied(tmp_path) == 0
        # What became of the job is the subject's matter: Celery drops one whose retry cannot be published.
        drained(system)
        before = applied(tmp_path)
        system.messages.enqueue(system.plan.workload[1])
        drained(system)
        assert applied(tmp_path) == before + 1
    told = (tmp_path / "events" / "pings.w.jsonl").read_text()
    assert told.count('"AttemptStarted"') == told.count('"AttemptEnded"') >= 2
