"""The Docker daemon of this machine: where it is looked for, and the labels by which our things in it are known."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import docker
from docker.errors import DockerException

from harness.session import HarnessError

# Under these all that is ours can be found; nothing that lacks them is ever touched.
SESSION_LABEL = "jobproof.session"  # the name of the session's directory
OWNER_LABEL = "jobproof.owner"  # whose sessions these are: this user's, in this folder of this machine

TIMEOUT_SECONDS = 60
_CONNECTIONS_MAX = 128  # every container's output is a connection of its own


class NoDockerError(HarnessError):
    """There is no daemon that answers; the message says where it was looked for."""


def connect() -> "docker.DockerClient":
    """:raises NoDockerError: nobody answers at DOCKER_HOST, or, where that is not set, at any of the usual places"""
    tried = []
    for url in dict.fromkeys(_addresses()):
        try:
            _knock(url)
            client = docker.DockerClient(base_url=url, timeout=TIMEOUT_SECONDS, max_pool_size=_CONNECTIONS_MAX)
            client.ping()
        except (DockerException, OSError) as error:
            tried.append(f"{url}: {_words(error)}")
        else:
            return client
    raise NoDockerError(
        f"no Docker daemon answers ({'; '.join(tried)}); start one, let this user use it, or set DOCKER_HOST"
    )


def _knock(url: str) -> None:
    """Whether anybody listens there at all: where nobody does the library leaves a socket open.

    :raises OSError: nobody does
    """
    path = url.removeprefix("unix://")
    if path != url:
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(TIMEOUT_SECONDS)
            knock.connect(path)


def labels(session: str, root: Path) -> dict[str, str]:
    return {SESSION_LABEL: session, OWNER_LABEL: owner(root)}


def owner(root: Path) -> str:
    """Names the folder of sessions. Another user's, machine's or container's is another, even if its path is the same:
    whether its sessions live cannot be told from here.
    """
    inode = root.stat().st_ino
    return f"{socket.gethostname()}:{root}:{inode}"


def _addresses() -> Iterator[str]:
    if named := os.environ.get("DOCKER_HOST"):
        yield named
        return
    if named := _current_context():
        yield named
    yield "unix:///var/run/docker.sock"
    yield f"unix://{os.environ.get('XDG_RUNTIME_DIR', f'/run/user/{os.getuid()}')}/docker.sock"


def _current_context() -> str:
    """The endpoint of the context that the `docker` command uses; empty where that is the default."""
    folder = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
    try:
        name = json.loads((folder / "config.json").read_bytes()).get("currentContext", "")
        for path in (folder / "contexts" / "meta").glob("*/meta.json"):
            context = json.loads(path.read_bytes())
            if context.get("Name") == name:
                return str(context["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, AttributeError):
        pass
    return ""


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def filters(wanted: Mapping[str, str]) -> dict[str, list[str]]:
    """What the daemon is asked with for things that carry all of these labels."""
    return {"label": [f"{name}={value}" for name, value in wanted.items()]}
