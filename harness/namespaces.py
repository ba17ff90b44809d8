"""What the kernel tells of processes that may live in namespaces of their own, seen from outside."""

import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

_PROC = Path("/proc")
_LINUX = sys.platform == "linux"


def pid_within(pid: int) -> int:
    """The number by which a process knows itself; its own where it lives in no namespace of its own."""
    if _LINUX:
        with suppress(OSError):
            for line in (_PROC / str(pid) / "status").read_text().splitlines():
                if line.startswith("NSpid:"):
                    return int(line.split()[-1])
    return pid


def connections_to(port: int, pids: list[int]) -> set[str]:
    """The local addresses of the processes' connections to a port, as `host:port` in their own network.

    `psutil` knows one network only, that of whoever asks.
    """
    found = set()
    for pid in pids:
        with suppress(psutil.Error, OSError):
            if _LINUX and _network_of(pid) != _network_of("self"):
                found |= set(_connections_within(pid, port))
                continue
            for connection in psutil.Process(pid).net_connections("tcp"):
                if connection.raddr and connection.raddr.port == port:
                    found.add(f"{connection.laddr.ip}:{connection.laddr.port}")
    return found


def _network_of(pid: int | str) -> str:
    return str((_PROC / str(pid) / "ns" / "net").readlink())


def _connections_within(pid: int, port: int) -> Iterator[str]:
    own = set()
    for descriptor in (_PROC / str(pid) / "fd").iterdir():
        with suppress(OSError):
            own.add(str(descriptor.readlink()))
    for line in (_PROC / str(pid) / "net" / "tcp").read_text().splitlines()[1:]:
        words = line.split()
        if f"socket:[{words[9]}]" in own and int(words[2].partition(":")[2], 16) == port:
            host, _, local = words[1].partition(":")
            yield f"{socket.inet_ntoa(struct.pack('=L', int(host, 16)))}:{int(local, 16)}"
