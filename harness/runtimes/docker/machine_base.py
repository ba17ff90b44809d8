"""A base image made of this machine, for where no registry can be reached: its Python, busybox, and what they link to.

It is a substitute: what runs in it has the libraries of this machine's distribution, and no package manager.
"""

import hashlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from zipfile import ZipFile

import docker
from docker.errors import ImageNotFound

from harness.session import HarnessError

_REPOSITORY = "jobproof/machine-base"
_RECIPE = 2  # goes up when this file makes another image of the same machine
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_TIME_ZONES = Path("/usr/share/zoneinfo")
# Perhaps in no closure: what the C library opens when it looks up a name or a user, and what wheels may expect of any
# machine (PEP 513).
_ALSO = (
    *("libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"),
    *("libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1", "libstdc++.so.6", "libutil.so.1"),
)
_LEFT_OUT = re.compile(
    r"(^|/)(__pycache__|test|tests|idlelib|tkinter|turtledemo|site-packages|dist-packages|config-[^/]+)(/|$)"
)
_PROGRAMS = ("bash", "ps")  # of this machine's, where it has them
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nworker:x:10001:10001:worker:/tmp:/bin/sh\n",
    "etc/group": "root:x:0:\nworker:x:10001:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


class CannotMakeError(HarnessError):
    """Something is missing on this machine; the message says what, and how to get it."""


def make(client: "docker.DockerClient") -> str:
    """The name of the image, which is made if it is not there.

    :raises CannotMakeError: this machine lacks something
    """
    busybox = shutil.which("busybox")
    if sys.platform != "linux" or busybox is None or _links(Path(busybox)):
        raise CannotMakeError(
            "a base image of this machine needs Linux and a static busybox: apt-get install busybox-static"
        )
    interpreter = Path(os.path.realpath(sys._base_executable))  # type: ignore[attr-defined]  # noqa: SLF001
    about = f"{_RECIPE} {sys.version} {interpreter} {Path(busybox).stat().st_size}"
    name = f"{_REPOSITORY}:{hashlib.sha256(about.encode()).hexdigest()[:12]}"
    try:
        client.images.get(name)
    except ImageNotFound:
        sys.stderr.write(f"jobproof: making {name} of this machine\n")
        with tempfile.NamedTemporaryFile(suffix=".tar") as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                _Tree(tar).fill(interpreter, Path(busybox))
            file.flush()
            repository, _, tag = name.partition(":")
            changes = [f"ENV {key}={value}" for key, value in _environment().items()]
            client.api.import_image_from_file(file.name, repository=repository, tag=tag, changes=changes)
    return name


def _environment() -> dict[str, str]:
    found = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}
    if Path(_CERTIFICATES).exists():
        found |= dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"), _CERTIFICATES)
    return found


class _Tree:
    """A root file system that is written into a tar, each name once, parents first."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._names: set[str] = set()

    def fill(self, interpreter: Path, busybox: Path) -> None:
        for name in ("bin", "sbin", "lib", "lib64"):
            if Path("/", name).is_symlink():
                self._link(name, str(Path("/", name).readlink()))
        self._directory("tmp", 0o1777)
        for name, text in _FILES.items():
            self._data(name, text.encode())
        self._file(busybox, "/usr/bin/busybox")
        for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet not in {"busybox", *_PROGRAMS}:
                self._link(f"usr/bin/{applet}", "busybox")
        programs = [Path(found) for each in _PROGRAMS if (found := shutil.which(each))]
        for program in programs:
            self._file(program, f"/usr/bin/{program.name}")
        for link in ("python", "python3"):
            self._link(f"usr/local/bin/{link}", str(interpreter))
        modules = list(self._standard_library(Path(sysconfig.get_path("stdlib", vars=_of_the_base()))))
        self._pip(Path(sysconfig.get_path("stdlib", vars=_of_the_base())))
        self._file(interpreter)
        for library in _closure([interpreter, *programs, *modules]):
            self._file(library)
        if Path(_CERTIFICATES).exists():
            self._file(Path(_CERTIFICATES))
        for path in sorted(_TIME_ZONES.rglob("*")) if _TIME_ZONES.is_dir() else ():
            if path.is_file() and path.relative_to(_TIME_ZONES).parts[0] not in {"right", "posix"}:
                self._file(path)

    def _standard_library(self, folder: Path) -> Iterator[Path]:
        """Add it; what of it has to be linked."""
        for path in sorted(folder.rglob("*")):
            inside = str(path.relative_to(folder))
            if not path.is_file() or _LEFT_OUT.search(inside) or path.name == "EXTERNALLY-MANAGED":
                continue
            self._file(path)
            if path.suffix == ".so":
                yield path

    def _pip(self, folder: Path) -> None:
        """Put pip beside the standard library, wherever this machine has it."""
        spec = importlib.util.find_spec("pip")
        if spec is not None and spec.origin is not None:
            package = Path(spec.origin).parent
            for path in sorted(package.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    self._data(str(folder / "pip" / path.relative_to(package)), path.read_bytes())
            return
        wheels = [*folder.glob("ensurepip/_bundled/pip-*.whl"), *Path("/usr/share/python-wheels").glob("pip-*.whl")]
        if not wheels:
            raise CannotMakeError("a base image of this machine needs pip: apt-get install python3-venv")
        with ZipFile(wheels[0]) as wheel:
            for name in wheel.namelist():
                if name.startswith("pip/") and not name.endswith("/"):
                    self._data(str(folder / name), wheel.read(name))

    def _file(self, path: Path, place: str = "") -> None:
        """A file under its own name, or under another; where a link leads is what it becomes."""
        name = place or str(Path(os.path.realpath(path.parent)) / path.name)
        mode = 0o755 if os.access(path, os.X_OK) else 0o644
        self._data(name, path.read_bytes(), mode)

    def _data(self, name: str, data: bytes, mode: int = 0o644) -> None:
        entry = self._entry(name, mode)
        if entry is not None:
            entry.size = len(data)
            self._tar.addfile(entry, io.BytesIO(data))

    def _link(self, name: str, target: str) -> None:
        entry = self._entry(name, 0o777)
        if entry is not None:
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            self._tar.addfile(entry)

    def _directory(self, name: str, mode: int = 0o755) -> None:
        entry = self._entry(name, mode)
        if entry is not None:
            entry.type = tarfile.DIRTYPE
            self._tar.addfile(entry)

    def _entry(self, name: str, mode: int) -> tarfile.TarInfo | None:
        """None where the name is taken."""
        name = name.lstrip("/")
        if name in self._names:
            return None
        if parent := str(Path(name).parent).removeprefix("."):
            self._directory(parent)
        self._names.add(name)
        entry = tarfile.TarInfo(name)
        entry.mode = mode
        return entry


def _of_the_base() -> dict[str, str]:
    """Of the Python that a virtual environment was made of."""
    return {"base": sys.base_prefix, "installed_base": sys.base_prefix}


def _closure(binaries: Iterable[Path]) -> list[Path]:
    """Every library that the binaries are linked to, and the loader."""
    found = {library for binary in binaries for library in _links(binary)}
    folders = {library.parent for library in found}
    found |= {path for folder in folders for name in _ALSO if (path := folder / name).exists()}
    return sorted(found)


def _links(binary: Path) -> set[Path]:
    answer = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout
    return {Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", answer, re.MULTILINE)}
