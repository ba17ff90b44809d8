"""A process that has imported what others will need, and forks them on request. Linux.

Standard library only, and loaded by path where the subject's environment is: see `harness/systems/celery/zygote.py`.
The keeper holds the other end of descriptor `LINK` and makes the requests; each comes with the descriptor of the new
process's log. A forked process is the keeper's child, in a session of its own, and finds its surroundings as if it had
been started by `execve`: arguments, environment, directory, standard streams. What it cannot have anew it shares with
its siblings: the hash seed, and what the imports computed, which its garbage collector leaves alone.
"""

import gc
import json
import os
import runpy
import socket
import sys
from pathlib import Path
from typing import Any

LINK = 3
_BYTES_MAX = 1 << 20


def hide_link() -> None:
    """Before anything of the subject's is imported: what that starts is not to inherit the link."""
    os.set_inheritable(LINK, False)


def not_forkable() -> str:
    """Why this process must not be forked, in words; empty if it may be."""
    threads = sum(1 for _ in Path("/proc/self/task").iterdir())
    if threads > 1:
        return f"its import leaves threads running ({threads - 1})"
    sockets = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            is_socket = str(descriptor.readlink()).startswith("socket:")
        except OSError:
            continue  # the descriptor that listed the folder
        sockets += is_socket and int(descriptor.name) != LINK
    if sockets:
        return f"its import leaves sockets open ({sockets})"
    return ""


def say(message: dict[str, Any]) -> None:
    """Tell the harness, once, how the imports went."""
    link = socket.socket(fileno=os.dup(LINK))
    link.send(json.dumps(message).encode())
    link.close()


def serve() -> None:
    """Fork for each request. Returns in the forked processes only, each set up to run the program `sys.argv[0]`."""
    link = socket.socket(fileno=LINK)
    # What has been imported stays: a collection in a forked process would touch, and so copy, every page of it. Celery
    # collects before it forks a child, which was two fifths of a worker's start.
    gc.collect()
    gc.freeze()
    while True:
        data, descriptors, _, _ = socket.recv_fds(link, _BYTES_MAX, 1)
        if not data:
            os._exit(0)  # the keeper is gone, and ends everything
        request = json.loads(data)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what is buffered is this process's, and would be said again by every forked one
        pid = fork_away()
        if pid == 0:
            link.close()
            become(request, descriptors[0])
            return
        os.close(descriptors[0])
        link.send(json.dumps({"id": request["id"], "pid": pid}).encode())


def fork_away() -> int:
    """Fork a process that is not this one's child but the keeper's; its pid, and 0 within it."""
    read, write = os.pipe()
    between = os.fork()
    if between == 0:
        pid = os.fork()
        if pid == 0:
            os.close(read)
            os.close(write)
            return 0
        os.write(write, str(pid).encode())
        os._exit(0)
    os.close(write)
    pid = int(os.read(read, 32) or b"0")
    os.close(read)
    os.waitpid(between, 0)  # from here on the keeper is the parent
    return pid


def become(request: dict[str, Any], log: int) -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(null)
    os.close(log)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv[:] = request["argv"][1:]  # the first word is the interpreter


def run_requested() -> None:
    """The end of every forked process's main: it ends as a program does, `atexit` included."""
    runpy.run_path(sys.argv[0], run_name="__main__")
