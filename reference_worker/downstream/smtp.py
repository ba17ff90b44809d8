"""A mail server. It need not recognise a mail that it has had before."""

import smtplib
from contextlib import suppress
from email.message import EmailMessage
from urllib.parse import urlsplit

from reference_worker.downstream.errors import PermanentDownstreamError, TemporaryDownstreamError

_PERMANENT = range(500, 600)


def send(message: EmailMessage, *, url: str, timeout_seconds: float) -> None:
    """Hand a mail to the server, `smtp://host:port`. Without an answer it may have been taken nevertheless.

    :raises TemporaryDownstreamError: nothing is known, or the server asked to come back
    :raises PermanentDownstreamError: it will never work
    """
    where = urlsplit(url)
    try:
        # The name that it greets with is given: looking up our own has no timeout.
        server = smtplib.SMTP(
            where.hostname or "", where.port or 25, local_hostname="localhost", timeout=timeout_seconds
        )
        # Not `with server`: at the end of an error that would ask for leave and wait for the answer, and the soft limit
        # that has just ended one wait is raised only once.
        try:
            server.send_message(message)
            with suppress(OSError):  # the mail has been taken, whatever comes of the farewell
                server.putcmd("QUIT")
        finally:
            server.close()
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        refused = PermanentDownstreamError if all(code in _PERMANENT for code in codes) else TemporaryDownstreamError
        raise refused(f"{url}: recipients refused: {codes}") from error
    except smtplib.SMTPResponseException as error:
        refused = PermanentDownstreamError if error.smtp_code in _PERMANENT else TemporaryDownstreamError
        raise refused(f"{url}: SMTP {error.smtp_code}") from error
    except smtplib.SMTPNotSupportedError as error:
        raise PermanentDownstreamError(f"{url}: {error}") from error
    except OSError as error:  # those of the network, and the other errors of smtplib
        raise TemporaryDownstreamError(f"{url}: {type(error).__name__}: {error}") from error
