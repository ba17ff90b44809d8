"""What a certificate speaks of, by digest: the source tree, the installed distributions, the contract."""

import hashlib
import importlib.metadata
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness.certify.result import CERTIFY_JSON

SOURCE, COMMIT, DISTRIBUTIONS, CONTRACT = "source tree", "commit", "distributions", "contract"
IMAGE = "image"  # which holds the distributions
SECONDS_MAX = 60.0
_NEVER = frozenset({".git", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", "node_modules"})


def digests_of(contract_file: Path, root: Path, *, python: str, leave_out: Path) -> dict[str, str]:
    """Each by its name; what cannot be had is left out. `leave_out`: the certificate itself.

    Nothing of the subject's is run.
    """
    found = {SOURCE: tree_digest(root, leave_out=leave_out)}
    found[CONTRACT] = hashlib.sha256(contract_file.read_bytes()).hexdigest() if contract_file.is_file() else ""
    installed = distributions(python)
    found[DISTRIBUTIONS] = hashlib.sha256("\n".join(installed).encode()).hexdigest() if installed else ""
    found[COMMIT] = _said("git", "-C", str(root), "rev-parse", "HEAD").strip()
    return {name: value for name, value in found.items() if value}


def tree_digest(root: Path, *, leave_out: Path) -> str:
    """Of every file below a folder, by name, whether it can be executed, and content.

    Left out are virtual environments, caches, what git ignores, and what jobproof itself writes.
    """
    told = hashlib.sha256()
    for path in sorted(_files(root)):
        if path.resolve() == leave_out.resolve():
            continue
        name = path.relative_to(root).as_posix()
        content = str(path.readlink()).encode(errors="surrogateescape") if path.is_symlink() else path.read_bytes()
        executable = "x" if not path.is_symlink() and os.access(path, os.X_OK) else "-"
        told.update(f"{name}\0{executable}\0{hashlib.sha256(content).hexdigest()}\n".encode(errors="surrogateescape"))
    return told.hexdigest()


def distributions(python: str) -> tuple[str, ...]:
    """Name and version of what is installed beside a Python, read from its folders; none where there is nothing.

    It is not run: a certificate that somebody sent names it.
    """
    prefix = Path(python).parent.parent
    folders = [str(path) for path in sorted(prefix.glob("lib*/python*/*-packages"))]
    found = importlib.metadata.distributions(path=folders)
    return tuple(sorted({f"{each.metadata['Name']}=={each.version}" for each in found}))


def _files(root: Path) -> Iterator[Path]:
    listed = _said("git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed:
        found = (root / name for name in listed.split("\0") if name)
        yield from (path for path in found if path.is_file() and not _is_left_out(path, root))
        return
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not _is_ours_or_nobodys(Path(folder, name))]
        yield from (Path(folder, name) for name in files if Path(folder, name).is_file())


def _is_left_out(path: Path, root: Path) -> bool:
    return any(_is_ours_or_nobodys(parent) for parent in path.parents if parent != root and root in parent.parents)


def _is_ours_or_nobodys(folder: Path) -> bool:
    return folder.name in _NEVER or (folder / "pyvenv.cfg").is_file() or (folder / CERTIFY_JSON).is_file()


def _said(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, timeout=SECONDS_MAX, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else ""
