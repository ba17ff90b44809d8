"""A pool child that the kernel does not let start."""

import subprocess
import sys
import textwrap

_PROGRAM = """
    import errno, os, signal, sys
    from billiard import popen_fork
    from celery.concurrency.asynpool import AsynPool
    from kombu.asynchronous import Hub
    from reference_worker.pool import PatientPool

    pool = {pool}(2, threads=False)
    pool.register_with_event_loop(Hub())
    fork = os.fork

    def refuse():
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def lose_one():
        child = pool._pool[0]
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    lose_one()
    os.fork = refuse
    for _ in range(3):
        try:
            pool.maintain_pool()
        except OSError as error:
            print(type(error).__name__)
        print(len(pool._pool))
    os.fork = fork
    pool.maintain_pool()
    print(sorted(child._is_alive() for child in pool._pool))
    for child in pool._pool:
        os.kill(child.pid, signal.SIGKILL)
    sys.stdout.flush()
    os._exit(0)
"""


def run(pool: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", textwrap.dedent(_PROGRAM).format(pool=pool)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_a_child_that_cannot_be_started_is_started_once_it_can() -> None:
    ran = run("PatientPool")
    assert ran.stdout.split("\n") == ["1", "1", "1", "[True, True]", ""], ran.stderr
    assert ran.stderr.count("cannot be started and is tried again later") == 3


def test_the_pool_of_celery_itself_stumbles_over_it_and_that_is_why_there_is_another() -> None:
    ran = run("AsynPool")
    assert "KeyError: None" in ran.stderr, ran.stdout
