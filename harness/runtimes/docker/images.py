"""Which images a run uses: those that were named, and one of jobproof's own.

Each is looked for here, then pulled. What cannot be had is said, with what to do; nothing takes its place unasked. Only
the base of jobproof's own image may be made of this machine, where that is asked for, and the report says so.
"""

import hashlib
import io
import sys
import tarfile
import threading
from importlib.util import find_spec
from pathlib import Path

import docker
from docker.errors import APIError, BuildError, DockerException, ImageNotFound
from msgspec import Struct

from harness.runtimes.docker import machine_base
from harness.session import HarnessError

BASE = "python:3.12-slim"
MACHINE = "machine"
PULL_SECONDS_MAX = 300.0
DOCKERFILE = "reference_worker/Dockerfile"
LOCK = "requirements.lock"
_ROOT = Path(__file__).parents[3]
_PACKAGED = Path(__file__).parent  # where a wheel has what a checkout has in its first folder
_REPOSITORY = "jobproof/reference-worker"


class NoImageError(HarnessError):
    """An image is not to be had; the message says why, and what to do."""


class Image(Struct, frozen=True, kw_only=True):
    """`found` says where it came from, and `base` what one that was built here stands on, for the report."""

    name: str
    identity: str
    found: str
    base: str = ""

    @property
    def sentence(self) -> str:
        return f"{self.name} ({self.found}, {self.identity.removeprefix('sha256:')[:12]})"


def find(client: "docker.DockerClient", name: str, *, option: str) -> Image:
    """The image of that name, from here or from its registry.

    :raises NoImageError: it is not here and cannot be pulled in time
    """
    try:
        return Image(name=name, identity=str(client.images.get(name).id), found="local")
    except ImageNotFound:
        pass
    failed = _pull(client, name)
    if failed:
        raise NoImageError(
            f"the image {name} is not here and could not be pulled ({failed}); name another with {option}"
        )
    return Image(name=name, identity=str(client.images.get(name).id), found="pulled")


def own(client: "docker.DockerClient", base: str) -> Image:
    """Jobproof's own image, with the reference worker and all that the harness's servers need; built where it is new.

    `base`: the image that it is built on; empty: the default; "machine": one made of this machine.

    :raises NoImageError: the base is not to be had, or it cannot be built
    """
    if base == MACHINE:
        on = Image(name=machine_base.make(client), identity="", found="a substitute made of this machine")
    else:
        try:
            on = find(client, base or BASE, option="--base-image")
        except NoImageError as error:
            raise NoImageError(
                f"{error}, or ask for a substitute made of this machine with --base-image {MACHINE}"
            ) from error
    context = _context()
    digest = hashlib.sha256(context + str(client.images.get(on.name).id).encode()).hexdigest()[:16]
    name = f"{_REPOSITORY}:{digest}"
    base = f"{on.name}, {on.found}"
    try:
        return Image(name=name, identity=str(client.images.get(name).id), found="built here", base=base)
    except ImageNotFound:
        pass
    sys.stderr.write(f"jobproof: building {name} on {on.name}; this is done once\n")
    try:
        client.images.build(
            fileobj=io.BytesIO(context),
            custom_context=True,
            dockerfile=DOCKERFILE,
            buildargs={"BASE_IMAGE": on.name},
            tag=name,
            rm=True,
            forcerm=True,
        )
    except BuildError as error:
        lines = [line for each in error.build_log if (line := str(each.get("stream", "")).strip())]
        raise NoImageError(f"{DOCKERFILE} cannot be built on {on.name}: {error}: {' / '.join(lines[-4:])}") from error
    except APIError as error:
        raise NoImageError(f"{DOCKERFILE} cannot be built on {on.name}: {error.explanation}") from error
    return Image(name=name, identity=str(client.images.get(name).id), found="built here", base=base)


def _context() -> bytes:
    """What the Dockerfile is built from, the same bytes for the same files."""
    spec = find_spec("reference_worker")
    if spec is None or spec.origin is None:
        raise NoImageError("the reference worker is not installed; install jobproof's wheel or its checkout")
    package = Path(spec.origin).parent
    files = {f"reference_worker/{path.relative_to(package)}": path for path in sorted(package.rglob("*.py"))}
    lock = next((path for path in (_ROOT / LOCK, _PACKAGED / LOCK) if path.is_file()), None)
    if lock is None:
        raise NoImageError(
            f"{LOCK} is missing from this installation of jobproof; install it from its wheel or checkout"
        )
    files |= {LOCK: lock, DOCKERFILE: package / "Dockerfile"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, path in files.items():
            data = path.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def _pull(client: "docker.DockerClient", name: str) -> str:
    """Why an image could not be pulled; empty if it was. A registry that says nothing is not waited for for ever."""
    failed: list[str] = []

    def pull() -> None:
        try:
            client.images.pull(name)
            failed.append("")
        except (DockerException, OSError) as error:
            explained = error.explanation if isinstance(error, APIError) else str(error)
            failed.append(" ".join(str(explained).split())[:300])

    sys.stderr.write(f"jobproof: pulling {name}\n")
    thread = threading.Thread(target=pull, daemon=True)
    thread.start()
    thread.join(PULL_SECONDS_MAX)
    return failed[0] if failed else f"it took longer than {PULL_SECONDS_MAX:g} s"
