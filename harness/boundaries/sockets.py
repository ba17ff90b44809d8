"""What the kernel tells of a socket."""

import array
import fcntl
import select
import socket
import struct
import termios
import time


def bytes_taken(link: socket.socket) -> int:
    """How many bytes the kernel has taken over for this connection so far, but for a constant."""
    while True:
        acknowledged = _bytes_acknowledged(link)
        waiting = array.array("i", [0])
        fcntl.ioctl(link, termios.TIOCOUTQ, waiting)
        if _bytes_acknowledged(link) == acknowledged:
            return acknowledged + waiting[0]


def _bytes_acknowledged(link: socket.socket) -> int:
    # tcpi_bytes_acked of struct tcp_info (linux/tcp.h)
    return int(struct.unpack_from("=Q", link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128), 120)[0])


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
