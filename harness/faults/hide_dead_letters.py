from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from harness.events import JobId
from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, System


class HideDeadLetters(Struct, frozen=True, tag="hide-dead-letters", kw_only=True):
    """The store of dead letters is gone while `jobs` have to be given up; with `spool_too` so is the spool for them."""

    summary: ClassVar[str] = "take the store of dead letters away, and its spool if asked for"
    jobs: tuple[JobId, ...]
    spool_too: bool = False

    @property
    def sentence(self) -> str:
        what = "the store of dead letters and its spool" if self.spool_too else "the store of dead letters"
        return f"take {what} away"

    @property
    def needs(self) -> frozenset[Capability]:
        spool = {Capability.BLOCK_DIRECTORY} if self.spool_too else set()
        return frozenset({Capability.HIDE_TABLE, *spool})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        del arrival
        system.stores.hide_dead_letters()
        if self.spool_too:
            system.stores.block_spool()

        def evidence() -> Impact | None:
            met = tuple(job for job in self.jobs if system.messages.was_taken(job))
            return Impact(targets=("the table of dead letters",), jobs=met) if met else None

        try:
            yield evidence
        finally:
            if self.spool_too:
                system.stores.unblock_spool()
            system.stores.show_dead_letters()
