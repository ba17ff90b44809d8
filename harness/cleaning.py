"""What sessions have left behind whose harness and helpers were all killed: found, and removed."""

from msgspec import Struct

from harness.runtimes.choice import NotHereError, swept_containers
from harness.session import roots, sweep


class Cleaned(Struct, frozen=True, kw_only=True):
    """`sessions`: the dead ones that had left processes or a directory, `in_docker` those that had left containers,
    networks or volumes. `not_looked` says why nobody looked for the latter; empty where somebody did.
    """

    sessions: tuple[str, ...]
    in_docker: tuple[str, ...]
    not_looked: str = ""


def clean() -> Cleaned:
    """Sessions that live are spared, and so is everything that is not jobproof's and this user's."""
    folders = roots()
    sessions = tuple(name for folder in folders for name in sweep(folder))
    try:
        in_docker = tuple(name for folder in folders for name in swept_containers(folder))
    except NotHereError as error:
        return Cleaned(sessions=sessions, in_docker=(), not_looked=str(error))
    return Cleaned(sessions=sessions, in_docker=in_docker)
