"""What is on this machine, what is missing, and how to get it."""

import os
import platform
import resource
import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from msgspec import Struct

from harness import __version__
from harness.runtimes.choice import NotHereError, docker_version
from harness.services.broker import NoBrokerError, resolve
from harness.services.proxy.client import TOXIPROXY, TOXIPROXY_VARIABLE

OPEN_FILES_MIN = 256


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked for; `advice` is what to do where it is missing."""

    name: str
    ok: bool
    needed: bool
    found: str
    advice: str = ""


def examine() -> list[Finding]:
    return [
        Finding(name="jobproof", ok=True, needed=True, found=__version__),
        _python(),
        _system(),
        _broker(),
        *(_package(name) for name in ("celery", "kombu", "redis", "msgspec")),
        _open_files(),
        _temporary_directory(),
        _docker(),
        _toxiproxy(),
        _browser(),
    ]


def _python() -> Finding:
    return Finding(name="Python", ok=sys.version_info >= (3, 11), needed=True, found=platform.python_version())


def _system() -> Finding:
    name = platform.system()
    advice = {
        "Linux": "",
        "Darwin": "orphans that clear their environment are not found on macOS",
    }.get(name, "only Linux and macOS are supported")
    return Finding(
        name="system",
        ok=name in ("Linux", "Darwin"),
        needed=True,
        found=f"{name} {platform.release()} {platform.machine()}, {os.cpu_count()} cores",
        advice=advice,
    )


def _broker() -> Finding:
    try:
        server = resolve()
    except NoBrokerError as error:
        return Finding(name="broker", ok=False, needed=True, found="none", advice=str(error))
    return Finding(name="broker", ok=True, needed=True, found=f"{server.version} from {server.found}: {server.path}")


def _package(name: str) -> Finding:
    try:
        return Finding(name=name, ok=True, needed=True, found=version(name))
    except PackageNotFoundError:
        return Finding(name=name, ok=False, needed=True, found="none", advice=f"pip install {name}")


def _open_files() -> Finding:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    ok = limit == resource.RLIM_INFINITY or limit >= OPEN_FILES_MIN
    advice = "" if ok else f"ulimit -n {OPEN_FILES_MIN * 4}"
    return Finding(name="open files", ok=ok, needed=True, found=str(limit), advice=advice)


def _temporary_directory() -> Finding:
    path = Path(tempfile.gettempdir())
    free = shutil.disk_usage(path).free
    # Unix socket paths may have about 100 bytes; a session needs some 45 below this folder.
    short = len(str(path)) <= 50  # noqa: PLR2004 - said just above
    advice = "" if short else "set TMPDIR to a shorter path: Unix sockets live below it"
    return Finding(name="temporary files", ok=short, needed=True, found=f"{path}, {free >> 20} MiB free", advice=advice)


def _docker() -> Finding:
    try:
        return Finding(name="Docker", ok=True, needed=False, found=docker_version())
    except NotHereError as error:
        return Finding(
            name="Docker", ok=False, needed=False, found="none", advice=f"only --runtime docker needs it: {error}"
        )


def _toxiproxy() -> Finding:
    path = os.environ.get(TOXIPROXY_VARIABLE) or shutil.which(TOXIPROXY)
    if path is None:
        advice = f"with --runtime docker the embedded proxy takes its place; {TOXIPROXY_VARIABLE} may name one"
        return Finding(name="Toxiproxy", ok=False, needed=False, found="none", advice=advice)
    return Finding(name="Toxiproxy", ok=os.access(path, os.X_OK), needed=False, found=path)


def _browser() -> Finding:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        return Finding(
            name="browser", ok=False, needed=False, found="none", advice="only the project's own tests use one"
        )
    return Finding(name="browser", ok=True, needed=False, found=path)
