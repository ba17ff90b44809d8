"""Starts the ledger; the one argument is its settings as JSON."""

import os
import signal
import sys

import msgspec

from harness.services.gate import ask
from harness.services.ledger.control import ControlServer, Service
from harness.services.ledger.http import HttpService
from harness.services.ledger.ledger import Ledger, Settings
from harness.services.ledger.smtp import SmtpService


def main() -> None:
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ledger = Ledger(settings)
    port = settings.port
    try:
        http = HttpService(ledger, port)
        port = settings.smtp_port
        smtp = SmtpService(ledger, port) if settings.smtp else None
    except OSError as error:
        sys.exit(f"the ledger cannot listen on {settings.host}:{port}: {error.strerror}")
    services: list[Service] = [http] if smtp is None else [http, smtp]
    control = ControlServer(ledger, services)
    for service in services:
        service.accept()
    ready = {"point": "ledger-ready", "node": "ledger", "pid": os.getpid(), "port": http.port}
    ask(settings.gate, {**ready, "smtp_port": 0 if smtp is None else smtp.port})
    control.serve_forever()


if __name__ == "__main__":
    main()
