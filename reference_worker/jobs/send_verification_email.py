from email.message import EmailMessage
from typing import Any
from urllib.parse import quote

from reference_worker.app import DATABASE, SETTINGS, app
from reference_worker.downstream import smtp
from reference_worker.jobs.base import Job
from reference_worker.records import users
from reference_worker.records.users import User

DEFAULT_LANGUAGE = "en"
TEXTS = {
    "en": ("Please confirm your address", "Please confirm your address"),
    "de": ("Bitte Adresse bestätigen", "Bitte bestätigen Sie Ihre Adresse"),
}


class UnknownUserError(Exception):
    """There is no such user, and no retry will make one."""


class UnknownLanguageError(Exception):
    """Nobody has written this mail in that language, and no retry will."""


@app.task(bind=True, base=Job, name="reference_worker.send_verification_email")
def send_verification_email(_self: Any, user_id: str, language: str = DEFAULT_LANGUAGE) -> None:
    """Send a user the link that proves the address, at least once.

    A mail server need not recognise a mail that it has had before, so a crash between the sending and our record
    sends again. The Message-ID is the user's and not the attempt's: mail programs show the two as one.

    `language` came with this release. Messages from before it do not have it, and workers from before it refuse what
    has: hence the default, which is what was meant all along. One release later it may be asked for.
    """
    if language not in TEXTS:
        raise UnknownLanguageError(language)
    user = users.find(DATABASE, user_id)
    if user is None:
        raise UnknownUserError(user_id)
    if user.is_verification_sent:
        return
    smtp.send(verification_mail(user, language), url=SETTINGS.smtp_url, timeout_seconds=SETTINGS.client_timeout_seconds)
    users.mark_verification_sent(DATABASE, user_id)


def verification_mail(user: User, language: str) -> EmailMessage:
    subject, text = TEXTS[language]
    mail = EmailMessage()
    mail["From"] = "accounts@reference-worker.example"
    mail["To"] = user.email
    mail["Subject"] = subject
    mail["Message-ID"] = f"<verification.{quote(user.user_id, safe='')}@reference-worker.example>"
    mail["X-Entity-Ref-ID"] = user.user_id
    mail.set_content(f"{text}: https://reference-worker.example/verify")
    return mail
