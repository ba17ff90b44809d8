"""The docker runtime: a lane is a private network, and everything in it a container that carries the session's label.

A container sees the lane's directories under the paths that they have on this machine, so that logs, sockets and the
subject's files are the same for both sides; and the harness sees a container's processes by their numbers here. So
faults, drivers and checkers work as they do on local processes. The daemon is on this machine.
"""
