"""Opens ports in the network that it is started in, and hands their sockets to somebody outside of it.

A socket stays in the network that it was made in, whoever holds it: so a proxy of the harness's own process stands in a
container's network, and whoever calls it there meets no firewall of the machine's (unix(7), SCM_RIGHTS;
network_namespaces(7)).
"""

import socket
import sys

import msgspec
from msgspec import Struct

BACKLOG = 256


class Settings(Struct, frozen=True, kw_only=True):
    """`asker`: the path of a Unix socket where somebody waits for as many sockets as there are `ports`, in order."""

    asker: str
    ports: tuple[int, ...]


def main() -> None:
    """Until the asker closes the connection, or is gone."""
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    doors = [socket.create_server(("", port), backlog=BACKLOG) for port in settings.ports]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.connect(settings.asker)
        socket.send_fds(link, [b"doors"], [door.fileno() for door in doors])
        for door in doors:
            door.close()  # whoever has them now is the only one: closed there, they are shut
        link.recv(1)


if __name__ == "__main__":
    main()
