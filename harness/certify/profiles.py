"""How much a certification asks: which scenarios, which crashes, for how long."""

from msgspec import Struct

from harness.contract import Contract
from harness.scenario import CORE, FULL, Scenario
from harness.system import Target

CELERY = "celery"
CHILDLESS = ("solo", "threads", "gevent", "eventlet")


class Profile(Struct, frozen=True, kw_only=True):
    """`only`: names of scenarios; empty: those of the profile of the same name. `budget_seconds`: for one task."""

    name: str
    only: tuple[str, ...]
    targets: tuple[Target, ...]
    budget_seconds: float

    def chosen(self, catalogue: tuple[Scenario, ...]) -> tuple[Scenario, ...]:
        if self.only:
            return tuple(each for each in catalogue if each.name in self.only)
        return tuple(each for each in catalogue if self.name in (each.profile, FULL))

    def targets_of(self, contract: Contract, pool: str) -> tuple[Target, ...]:
        """Who is killed: where no children run the jobs, the main process in their place. `pool`: the application's."""
        words = [word for worker in contract.workers for word in worker.arguments]
        has_children = contract.system == CELERY and not any(
            each in word for word in (*words, pool) for each in CHILDLESS
        )
        return self.targets if has_children or Target.MAIN in self.targets else (Target.MAIN,)


QUICK = Profile(
    name="quick",
    only=(
        "worker-killed-main",
        "killed-between-effect-and-record",
        "deploy-with-time",
        "delivered-twice",
        "delivered-twice-at-once",
        "submitted-twice-at-once",
    ),
    targets=(Target.CHILD,),
    budget_seconds=30.0,
)
PROFILES: tuple[Profile, ...] = (
    QUICK,
    Profile(name=CORE, only=(), targets=tuple(Target), budget_seconds=60.0),
    Profile(name=FULL, only=(), targets=tuple(Target), budget_seconds=300.0),
)
