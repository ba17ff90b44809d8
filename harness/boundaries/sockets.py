"""What the kernel tells of a socket."""

import array
import fcntl
import select
import socket
import struct
import termios
import time

_COUNT = struct.Struct("=Q")
_BYTES_ACKED, _BYTES_RECEIVED = 120, 128  # where they stand in struct tcp_info (linux/tcp.h)


def bytes_taken(link: socket.socket) -> int:
    """How many bytes the kernel has taken over for this connection so far, but for a constant."""
    while True:
        acknowledged = _bytes_acknowledged(link)
        waiting = array.array("i", [0])
        fcntl.ioctl(link, termios.TIOCOUTQ, waiting)
        if _bytes_acknowledged(link) == acknowledged:
            return acknowledged + waiting[0]


def bytes_heard(link: socket.socket) -> int:
    """How much the peer has sent so far, but for a constant; whether it has been read makes no difference.

    Of a Unix socket only what is unread is known.
    """
    if link.family == socket.AF_UNIX:
        return bytes_unread(link)
    received = _counted(link, _BYTES_RECEIVED)
    return received - hung_up(link)  # which the kernel counts as a byte, and is asked after it has been counted


def _bytes_acknowledged(link: socket.socket) -> int:
    return _counted(link, _BYTES_ACKED)


def _counted(link: socket.socket, offset: int) -> int:
    return int(
        _COUNT.unpack_from(link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, offset + _COUNT.size), offset)[0]
    )


def bytes_unread(link: socket.socket) -> int:
    unread = array.array("i", [0])
    fcntl.ioctl(link, termios.FIONREAD, unread)
    return unread[0]


def hung_up(link: socket.socket) -> bool:
    return ready(link, select.POLLRDHUP, time.monotonic())


def ready(link: socket.socket, events: int, deadline: float) -> bool:
    poll = select.poll()
    poll.register(link, events)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
