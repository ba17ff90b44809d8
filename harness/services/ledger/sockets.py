"""Sockets that refuse, reset and are reused as a played downstream needs it."""

import socket
import struct


def bound(host: str, port: int) -> socket.socket:
    """A socket that holds the port and, until it listens, refuses whoever comes.

    :raises OSError: somebody else has the port
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def will_reset(link: socket.socket) -> None:
    """Closing with a zero linger sends RST, if nothing sends FIN before."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def is_gone(link: socket.socket) -> bool:
    try:
        return link.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
