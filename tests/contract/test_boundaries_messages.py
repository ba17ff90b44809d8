"""Messages are named by what happens at the other end, however the bytes are cut into sends."""

import struct
import sys

import pytest

from harness.boundaries import user_notify
from harness.boundaries.messages import OPAQUE, Seen, Stream
from harness.boundaries.rules import Delay, Rule, Side
from harness.boundaries.stable import stable


def command(*words: str) -> bytes:
    return f"*{len(words)}\r\n".encode() + b"".join(f"${len(word)}\r\n{word}\r\n".encode() for word in words)


def names(*sends: bytes) -> list[str]:
    stream = Stream()
    return [name for send in sends if (name := stream.feed(send).begun)]


POST = b"POST /v1/emails?token=secret HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"PUT /files/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nGET\r\n0\r\n\r\n"
GET = b"GET /v1/emails HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (command("HSET", "invoice", "paid", "yes"), "HSET invoice"),
        (command("flushall"), "FLUSHALL"),
        (command("SET", "celery-task-meta-1b4e28ba-2fa1-11d2-883f-0016d3cca427", "{}"), "SET celery-task-meta-*"),
        (command("LMPOP", "2", "first", "second", "LEFT"), "LMPOP first"),
        (command("EVALSHA", "f" * 40, "1", "unacked_mutex", "x"), "EVALSHA unacked_mutex"),
        (command("SET", "a", "1") + command("SET", "b", "2") + command("SET", "a", "3"), "SET a + SET b"),
        (command("MULTI") + command("ZADD", "i", "1", "t") + command("GET", "x") + command("EXEC"), "ZADD i"),
        (command("SET", "k\x1b[31m", "v"), "SET k?[31m"),
        (POST, "POST /v1/emails"),
        (CHUNKED, "PUT /files/a"),
        (b"DELETE /v1/emails/0123456789abcdef0123 HTTP/1.1\r\n\r\n", "DELETE /v1/emails/*"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", OPAQUE),
    ],
)
def test_a_message_is_named_by_what_happens(sent: bytes, name: str) -> None:
    assert names(sent) == [name]


@pytest.mark.parametrize(
    "sent",
    [
        command("PING"),
        command("HELLO", "3"),
        command("CLIENT", "SETINFO", "LIB-NAME", "x"),
        command("BRPOP", "celery", "1"),
        command("MULTI") + command("SET", "a", "1") + command("DISCARD"),
        GET,
        b"EHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\n",
    ],
)
def test_what_changes_nothing_is_not_told(sent: bytes) -> None:
    assert Stream().feed(sent) == Seen()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (POST + GET + CHUNKED + POST, ["POST /v1/emails", "PUT /files/a", "POST /v1/emails"]),
        (command("SET", "a", "x" * 300) + command("GET", "a") + command("DEL", "a"), ["SET a", "DEL a"]),
        (command("MULTI") + command("SET", "a", "1") + command("EXEC"), ["SET a"]),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_the_names_do_not_depend_on_how_the_bytes_are_cut(sent: bytes, expected: list[str], size: int) -> None:
    pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
    found = " + ".join(names(*pieces)).split(" + ")
    assert found == expected


def test_a_message_in_several_sends_begins_with_the_first_and_ends_with_the_last() -> None:
    stream = Stream()
    head, body = POST[:-5], POST[-5:]
    assert stream.feed(head) == Seen(begun="POST /v1/emails", open=True)
    assert stream.feed(body[:2]) == Seen()
    assert stream.feed(body[2:]) == Seen(ended=True)
    assert stream.feed(GET) == Seen()


def test_a_mail_begins_with_its_first_line_and_ends_with_the_single_dot() -> None:
    stream = Stream()
    for verb in (b"EHLO x\r\n", b"MAIL FROM:<a@x>\r\n", b"RCPT TO:<b@x>\r\n", b"DATA\r\n"):
        assert stream.feed(verb) == Seen()
    assert stream.feed(b"Subject: x\r\n\r\nDATA\r\n") == Seen(begun="SMTP message", open=True)
    assert stream.feed(b"..\r\nQUIT\r\n") == Seen()
    assert stream.feed(b".\r\n") == Seen(ended=True)
    assert stream.feed(b"QUIT\r\n") == Seen()


def test_a_mail_whose_data_was_refused_has_not_begun() -> None:
    stream = Stream()
    stream.feed(b"EHLO x\r\n")
    stream.feed(b"DATA\r\n")
    assert stream.feed(b"RSET\r\n") == Seen()


def pg(kind: str, *parts: bytes) -> bytes:
    body = b"\0".join([*parts, b""])
    return kind.encode() + struct.pack(">I", len(body) + 4) + body


TLS_WANTED = struct.pack(">II", 8, 80877103)
STARTUP = struct.pack(">II", 20, 3 << 16) + b"user\0shop\0\0\0"


def prepared(query: bytes, name: bytes = b"") -> bytes:
    return pg("P", name, query) + pg("B", b"", name) + pg("E", b"") + pg("S")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([pg("Q", b"BEGIN"), pg("Q", b"SELECT 1"), pg("Q", b"COMMIT")], []),
        (
            [
                pg("Q", b"BEGIN"),
                prepared(b"INSERT INTO sent VALUES ($1)"),
                pg("Q", b"UPDATE a SET b"),
                pg("Q", b"COMMIT"),
            ],
            ["COMMIT (INSERT sent + UPDATE a)"],
        ),
        ([pg("Q", b"BEGIN"), pg("Q", b"DELETE FROM a"), pg("Q", b"ROLLBACK"), pg("Q", b"COMMIT")], []),
        ([pg("Q", b"BEGIN; INSERT INTO a VALUES (1); COMMIT")], ["COMMIT (INSERT a)"]),
        ([prepared(b"/* why */ UPDATE ONLY invoices SET paid = true")], ["UPDATE invoices"]),
        ([prepared(b"SELECT id FROM a FOR UPDATE"), pg("Q", b"WITH x AS (SELECT 1 FOR UPDATE) SELECT 2")], []),
        ([pg("Q", b"WITH x AS (SELECT 1) INSERT INTO a SELECT 1")], ["INSERT a"]),
        ([prepared(b"DELETE FROM a", b"s1"), pg("B", b"", b"s1") + pg("E", b"") + pg("S")], ["DELETE a", "DELETE a"]),
        ([pg("Q", b"CREATE TABLE a (b text)")], ["CREATE TABLE"]),
        ([pg("Q", b"INSERT INTO a VALUES ('" + b"x" * 50_000 + b"')")], ["INSERT a"]),
    ],
)
@pytest.mark.parametrize("size", [3, 100_000])
def test_of_postgresql_a_commit_or_a_statement_by_itself_is_told(
    sent: list[bytes], expected: list[str], size: int
) -> None:
    everything = [STARTUP, *sent]
    pieces = [each[start : start + size] for each in everything for start in range(0, len(each), size)]
    assert names(TLS_WANTED, *pieces) == expected


@pytest.mark.parametrize(
    "broken",
    [
        b"*1\r\n$-3\r\n",
        b"*-1\r\n",
        b"*1\r\n!3\r\n",
        b"*2\r\n" + b"$" + b"9" * 70_000,
        b"EHLO x\r\nSTARTTLS\r\n",
        TLS_WANTED + b"\x16\x03\x01" + b"x" * 9,
    ],
)
def test_a_stream_that_cannot_be_read_any_more_is_told_send_by_send(broken: bytes) -> None:
    stream = Stream()
    assert stream.feed(broken).begun == OPAQUE
    assert stream.feed(b"POST / HTTP/1.1\r\n\r\n").begun == OPAQUE


def record(kind: int, size: int) -> bytes:
    return struct.pack(">BHH", kind, 0x303, size) + bytes(size)


HELLO, CHANGE, ALERT = record(22, 500), record(20, 1), record(21, 2)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([HELLO, CHANGE + record(23, 53), record(23, 100), record(23, 16_000) * 3, ALERT], ["TLS data"] * 2),
        ([HELLO, record(22, 70) + CHANGE + record(22, 40), record(23, 100), ALERT], ["TLS data"]),
        ([HELLO, ALERT], []),
        ([HELLO[:3], HELLO[3:], CHANGE, record(23, 53) + record(23, 9)], ["TLS data"]),
        ([HELLO, b"plain text follows"], [OPAQUE]),
    ],
    ids=["1.3", "1.2", "refused", "cut", "broken"],
)
def test_of_an_encrypted_connection_only_data_is_told(sent: list[bytes], expected: list[str]) -> None:
    assert names(*sent) == expected


def test_a_name_has_a_bounded_length_and_only_printable_characters() -> None:
    assert stable("x\ny" + "z" * 999) == "x?y" + "z" * 197


def test_a_delay_after_the_send_is_refused() -> None:
    with pytest.raises(ValueError, match="proxy"):
        Rule(rule="r", name="x", side=Side.AFTER, action=Delay(seconds=1))


@pytest.mark.parametrize(
    ("platform", "machine", "release", "reason"),
    [
        ("darwin", "arm64", "23.0", "needs Linux"),
        ("linux", "aarch64", "6.1.0", "64-bit x86 only; this is aarch64"),
        ("linux", "x86_64", "5.15.0-91-generic", "needs Linux 5.19 or newer"),
    ],
)
def test_a_machine_on_which_it_cannot_work_is_told_so_in_one_sentence(
    platform: str, machine: str, release: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.release", lambda: release)
    assert reason in user_notify.available()
