"""The effect ledger: a process of its own that plays the downstream services and is the only authority on effects.

It speaks HTTP/1.1 and SMTP. Every request is written to the event log before anything else happens
to it, and every effect before it is answered. Where the contract says that the downstream honours a key, the first
request with that key is applied and later ones are answered as the first was; where it honours a fence, what comes
late is refused: all under one lock, so that of two at the same moment only one can win.

Started as `python -m harness.services.ledger JSON`; controlled over a Unix socket, one JSON object a line.
"""

from harness.services.ledger.control import LedgerClient
from harness.services.ledger.ledger import Settings, request_in

__all__ = ["LedgerClient", "Settings", "request_in"]
