"""Forks one child after the other; each sends one thing with one client and notes what it was told.

senders.py CLIENT PORT COUNT NOTES
"""

import asyncio
import os
import smtplib
import sys
import urllib.request
from pathlib import Path

import redis
import requests


def with_requests(port: int, number: int) -> str:
    return str(requests.post(f"http://127.0.0.1:{port}/v1/emails/{number}", json={"to": "x"}, timeout=20).status_code)


def with_urllib(port: int, number: int) -> str:
    """http.client sends the head and the body in two calls."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/emails/{number}", data=b"{}", method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - the ledger's loopback URL
        return str(answer.status)


def with_asyncio(port: int, number: int) -> str:
    async def send() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST /v1/emails/{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        answer = (await reader.readline()).decode()
        writer.close()
        return answer.split()[1]

    return asyncio.run(send())


def with_redis(port: int, number: int) -> str:
    with redis.Redis(port=port) as client:
        return str(client.hset(f"invoice-{number}", "paid", "yes"))


def with_redis_pipeline(port: int, number: int) -> str:
    with redis.Redis(port=port) as client, client.pipeline() as pipeline:
        return str(pipeline.set(f"a-{number}", 1).hset(f"invoice-{number}", "paid", "yes").execute())


def with_smtplib(port: int, number: int) -> str:
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        return str(client.sendmail("a@x.test", f"{number}@x.test", f"Subject: {number}\n\nhello\n.\nthere\n"))


def note(notes: str, line: str) -> None:
    with Path(notes).open("a") as file:
        file.write(f"{line}\n")


def main() -> None:
    client, port, count, notes = sys.argv[1:]
    for number in range(int(count)):
        child = os.fork()
        if child == 0:
            told = globals()[f"with_{client}"](int(port), number)
            note(notes, f"{number} {told}")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        note(notes, f"{number} ended {os.waitstatus_to_exitcode(status)}")


main()
