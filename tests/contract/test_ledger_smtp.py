"""The ledger's mail server holds to what its HTTP holds to."""

import smtplib
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.message import EmailMessage

import pytest

from harness.downstream import Answer, Dripping, ErrorStatus, Late, ReplyLost, Reset, Rule, Silent
from harness.events import EffectRequested, JobId
from harness.waiting import wait_until
from tests.contract.conftest import RunningLedger

A, B = "a@example.org", "b@example.org"


def mail(number: int = 1, *, html: bool = False) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "x@example.org", A, "Grüße"
    message["Message-ID"] = f"<{number}@example.org>"
    message["Date"] = f"Wed, 01 Jan 2025 00:00:{number:02} +0000"
    message.set_content("hello\n")
    if html:
        message.add_alternative("<b>hello</b>", subtype="html")
    return message


def send(ledger: RunningLedger, message: EmailMessage, *to: str, timeout: float = 10) -> None:
    with smtplib.SMTP("127.0.0.1", ledger.smtp_port, timeout=timeout) as client:
        client.send_message(message, to_addrs=list(to or (A,)))


def requested(ledger: RunningLedger) -> list[EffectRequested]:
    return [event for event in ledger.events() if isinstance(event, EffectRequested)]


def test_a_mail_is_recorded_then_applied_then_accepted(ledger: RunningLedger) -> None:
    send(ledger, mail())
    assert ledger.names() == ["EffectRequested", "EffectApplied"]
    (request,) = requested(ledger)
    assert request.label == f"MAIL /{A}"
    assert request.headers["Subject"] == "Grüße"
    assert request.headers["Message-ID"] == "<1@example.org>"
    assert request.body == "hello\r\n"


def test_a_mail_to_several_is_one_request_each(ledger: RunningLedger) -> None:
    send(ledger, mail(), A, B)
    assert [request.label for request in requested(ledger)] == [f"MAIL /{A}", f"MAIL /{B}"]
    assert ledger.names().count("EffectApplied") == 2


@pytest.mark.parametrize("html", [False, True])
def test_two_sendings_of_one_mail_have_one_fingerprint(ledger: RunningLedger, html: bool) -> None:
    send(ledger, mail(1, html=html))
    send(ledger, mail(2, html=html))
    other = mail(3, html=html)
    other.replace_header("Subject", "another")
    send(ledger, other)
    one, two, three = (request.fingerprint for request in requested(ledger))
    assert one == two != three


def test_a_server_that_honours_no_message_id_applies_each(ledger: RunningLedger) -> None:
    send(ledger, mail())
    send(ledger, mail())
    assert ledger.names().count("EffectApplied") == 2


@pytest.mark.parametrize("ledger", ["message-id"], indirect=True)
def test_an_honoured_message_id_is_applied_once_however_many_come_at_the_same_moment(ledger: RunningLedger) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: send(ledger, mail()), range(16)))
    assert ledger.names().count("EffectApplied") == 1
    assert ledger.names().count("EffectDeduplicated") == 15


@pytest.mark.parametrize(("status", "code"), [(500, 451), (503, 451), (400, 550), (429, 550)])
def test_errors_are_temporary_from_500_on_and_permanent_below(ledger: RunningLedger, status: int, code: int) -> None:
    ledger.client.add(Rule(name="r", answer=ErrorStatus(status=status), times=1))
    with pytest.raises(smtplib.SMTPDataError) as caught:
        send(ledger, mail())
    assert caught.value.smtp_code == code
    assert "EffectApplied" not in ledger.names()


@pytest.mark.parametrize("ledger", ["fence"], indirect=True)
def test_a_late_token_is_a_permanent_error(ledger: RunningLedger) -> None:
    for token in (2, 1):
        message = mail()
        message["X-Fence"] = str(token)
        if token == 2:
            send(ledger, message)
            continue
        with pytest.raises(smtplib.SMTPDataError) as caught:
            send(ledger, message)
        assert caught.value.smtp_code == 550
    assert ledger.names() == ["EffectRequested", "EffectApplied", "EffectRequested", "EffectRefused"]


@pytest.mark.parametrize(("answer", "applied"), [(ReplyLost(reset=True), 1), (ReplyLost(reset=False), 1), (Reset(), 0)])
def test_a_lost_reply_was_applied_and_a_reset_was_not(ledger: RunningLedger, answer: Answer, applied: int) -> None:
    ledger.client.add(Rule(name="r", answer=answer, times=1))
    with pytest.raises(smtplib.SMTPServerDisconnected) as caught:
        send(ledger, mail())
    assert ("reset" in str(caught.value).lower()) == (answer != ReplyLost(reset=False))
    assert ledger.names().count("EffectApplied") == applied


@pytest.mark.parametrize(("answer", "applied"), [(Late(seconds=30), 1), (Silent(), 0)])
def test_an_impatient_client_gives_up_on_a_late_or_silent_server(
    ledger: RunningLedger, answer: Answer, applied: int
) -> None:
    ledger.client.add(Rule(name="r", answer=answer, times=1))
    with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
        send(ledger, mail(), timeout=0.5)
    send(ledger, mail())
    assert ledger.names().count("EffectApplied") == applied + 1


def test_a_dripping_server_outlasts_the_clients_read_timeout(ledger: RunningLedger) -> None:
    ledger.client.add(Rule(name="r", answer=Dripping(seconds=1.0), times=1))
    send(ledger, mail(), timeout=0.6)
    assert ledger.names() == ["EffectRequested", "AnswerScripted", "EffectApplied"]


def test_a_held_mail_holds_up_no_other_and_goes_on_when_released(ledger: RunningLedger) -> None:
    arm = ledger.gate.arm("effect-received", JobId(A))
    caller = threading.Thread(target=lambda: send(ledger, mail()))
    caller.start()
    assert arm.wait(within=20) is not None
    send(ledger, mail(), B)
    assert ledger.names().count("EffectApplied") == 1
    arm.release()
    caller.join(10)
    assert ledger.names().count("EffectApplied") == 2


def test_a_client_killed_while_held_before_applying_has_sent_no_mail(ledger: RunningLedger) -> None:
    arm = ledger.gate.arm("effect-received", JobId(A))
    script = f"import smtplib; smtplib.SMTP('127.0.0.1', {ledger.smtp_port}).sendmail('x@y', '{A}', 'S: x\\n\\nx')"
    client = subprocess.Popen([sys.executable, "-c", script])
    assert arm.wait(within=20) is not None
    client.kill()
    client.wait()
    arm.release()
    wait_until(lambda: "EffectAbandoned" in ledger.names(), within=5, or_else="it was not abandoned")
    assert "EffectApplied" not in ledger.names()


def test_hostile_clients_do_not_end_the_server(ledger: RunningLedger) -> None:
    for data in (
        b"DATA\r\n",
        b"x" * 300_000,
        b"\xff\xfe\x00\r\n",
        b"EHLO x\r\nMAIL FROM:<\xff>\r\n",
        b"RCPT TO:<>\r\n",
    ):
        with socket.create_connection(("127.0.0.1", ledger.smtp_port), timeout=5) as link, suppress(OSError):
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
            while link.recv(1 << 16):
                pass
    assert ledger.names() == []
    hostile = (
        b"Subject: \xff\xfe =?bogus?q?x?=\r\nFrom: =?utf-8?b?!!?=\r\nAuthorization: s3cret\r\n\xff: x\r\n\r\n\xff\x00"
    )
    with smtplib.SMTP("127.0.0.1", ledger.smtp_port, timeout=10) as client:
        client.sendmail("x@example.org", [A], hostile)
    (request,) = requested(ledger)
    assert "\ufffd" in request.headers["Subject"]
    assert "s3cret" not in ledger.log.read_text()


def test_a_line_without_an_end_is_cut_off(ledger: RunningLedger) -> None:
    with socket.create_connection(("127.0.0.1", ledger.smtp_port), timeout=20) as link:
        link.sendall(b"EHLO x\r\nMAIL FROM:<x@y>\r\nRCPT TO:<a@y>\r\nDATA\r\n")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            link.sendall(b"x" * (100 << 20))
    send(ledger, mail())
    assert ledger.names() == ["EffectRequested", "EffectApplied"]
