"""Packets that are lost on their way to or from a process's network, by this machine's own iptables.

Every Docker Engine on Linux has iptables beside it (https://docs.docker.com/engine/network/packet-filtering-firewalls/).
It is run in the network of the process, which takes this machine's root, and leaves everybody else's as it is. What a
process says to itself passes.
"""

import os
import shutil
import subprocess

from harness.system import Direction, SubjectError

SECONDS_MAX = 15.0
# A rule's chain, and how it spares what a process says to itself.
_WAYS = {Direction.TO: ("INPUT", ("!", "-i", "lo")), Direction.FROM: ("OUTPUT", ("!", "-o", "lo"))}


def drop(pid: int, direction: Direction) -> None:
    """:raises SubjectError: there is no iptables, it may not be used, or the process has ended"""
    _rule(pid, "-I", direction)


def let_pass(pid: int, direction: Direction) -> None:
    """:raises SubjectError: as `drop`, or nothing was dropped there"""
    _rule(pid, "-D", direction)


def dropped(pid: int, direction: Direction) -> int:
    """How many packets have been lost there.

    :raises SubjectError: as `drop`
    """
    chain, _ = _WAYS[direction]
    rows = [line.split() for line in _iptables(pid, "-nvxL", chain).splitlines()]
    return sum(int(row[0]) for row in rows if row[2:3] == ["DROP"])


def _rule(pid: int, what: str, direction: Direction) -> None:
    chain, others = _WAYS[direction]
    _iptables(pid, what, chain, *others, "-j", "DROP")


def _iptables(pid: int, *words: str) -> str:
    if os.geteuid() != 0:
        raise SubjectError("packets are lost in one direction by iptables in the worker's network, which takes root")
    if not (nsenter := shutil.which("nsenter")) or not (iptables := shutil.which("iptables")):
        raise SubjectError("packets are lost in one direction by nsenter and iptables; install them")
    done = subprocess.run(
        [nsenter, f"--net=/proc/{pid}/ns/net", iptables, "-w", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )
    if done.returncode != 0:
        raise SubjectError(f"iptables {' '.join(words)}: {' '.join((done.stderr or done.stdout).split())[:200]}")
    return done.stdout
