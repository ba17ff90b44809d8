"""The alert of the dead letters, told from a worker's main process: it must not wait, and may be forked before."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby

from harness.waiting import wait_until
from reference_worker.dead_letters.alert import Alert


def test_who_tells_does_not_wait_for_a_webhook_that_is_silent() -> None:
    speaks = threading.Event()
    with webhook(speaks) as (url, asked, answered):
        alert = Alert(url)
        alert.fire("nowhere")
        wait_until(lambda: asked, within=5, or_else="the webhook was not asked")
        alert.clear("again")
        alert.fire("nowhere")
        assert answered == []
        speaks.set()
        # What is late is asked again: on a busy machine a state may be told twice, but never out of its turn.
        wait_until(
            lambda: [status for status, _ in groupby(answered)] == ["firing", "resolved", "firing"],
            within=30,
            or_else="not all was told in its order",
        )


def test_an_alert_that_nobody_needed_has_no_thread_that_a_fork_would_lose() -> None:
    before = set(threading.enumerate())
    Alert("http://127.0.0.1:9/alerts").clear("nothing was wrong")
    assert set(threading.enumerate()) == before


@contextmanager
def webhook(speaks: threading.Event) -> Iterator[tuple[str, list[str], list[str]]]:
    """What it was asked, and what it has answered: nothing until `speaks`."""
    asked: list[str] = []
    answered: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["status"]
            asked.append(status)
            assert speaks.wait(20)
            answered.append(status)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/alerts", asked, answered
        finally:
            speaks.set()
            server.shutdown()
            thread.join(5)
