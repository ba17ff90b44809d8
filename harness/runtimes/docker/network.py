"""A lane's private network: no way out of it, and addresses that are known beforehand."""

import ipaddress
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import docker
import psutil
from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool
from msgspec import Struct

from harness.session import HarnessError

_RANGE = ipaddress.IPv4Network("10.192.0.0/10")
_BITS = 24
_TRIES = 30


class Network(Struct, frozen=True, kw_only=True):
    """`address` gives the few that are the same whatever is started in between; the daemon gives the others."""

    name: str
    subnet: str

    def address(self, number: int) -> str:
        return str(ipaddress.ip_network(self.subnet)[number])


@contextmanager
def private_network(client: "docker.DockerClient", name: str, labels: Mapping[str, str]) -> Iterator[Network]:
    """An internal network, which this machine can reach into and nothing reaches out of. It ends with this.

    Its subnet is stated: a container that is taken out of it can be put back under the address that it had.

    :raises HarnessError: of those that were tried none was free
    """
    told = ""
    for subnet in _candidates():
        # The lower half is given by us, the upper one by the daemon.
        upper = str(list(subnet.subnets(prefixlen_diff=1))[1])
        pool = IPAMPool(subnet=str(subnet), iprange=upper, gateway=str(subnet[1]))
        try:
            made = client.networks.create(
                name, driver="bridge", internal=True, ipam=IPAMConfig(pool_configs=[pool]), labels=dict(labels)
            )
        except APIError as error:  # somebody has it, or a part of it
            told = str(error.explanation)
            continue
        try:
            yield Network(name=name, subnet=str(subnet))
        finally:
            with suppress(APIError):
                made.remove()
        return
    raise HarnessError(f"no private network could be made in {_RANGE}, after {_TRIES} tries: {told}")


def _candidates() -> Iterator[ipaddress.IPv4Network]:
    """Drawn, so that sessions do not meet; never one that an interface of this machine is in."""
    taken = [
        ipaddress.ip_network(f"{each.address}/{each.netmask}", strict=False)
        for addresses in psutil.net_if_addrs().values()
        for each in addresses
        if each.family.name == "AF_INET" and each.netmask
    ]
    chance = random.SystemRandom()  # not part of a plan: which addresses a lane has changes nothing that is judged
    for _ in range(_TRIES):
        base = int(_RANGE.network_address) + (chance.randrange(1 << (_BITS - _RANGE.prefixlen)) << (32 - _BITS))
        subnet = ipaddress.IPv4Network((base, _BITS))
        if not any(subnet.overlaps(each) for each in taken):
            yield subnet
