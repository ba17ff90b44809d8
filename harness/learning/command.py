"""How commands have learnt what a contract leaves out."""

from pathlib import Path

from harness.audit.facts import Facts
from harness.contract import Contract
from harness.contract_file import working_directory
from harness.learning.complete import NAMES, complete
from harness.learning.surveying import surveyed
from harness.plan import RuntimeChoice
from harness.runtimes.choice import RUNTIMES, Place
from harness.session import open_session


def learnt(contract: Contract, path: Path, choice: RuntimeChoice, *, import_seconds: float) -> Contract:
    """The contract of the file `path`, told in full; no record is kept of the runs.

    :raises SubjectError: its subject does not import, or does not do its jobs even without a fault
    :raises NotHereError: there is nothing to run it with
    """
    with open_session(in_memory=True) as session:
        place = Place(session=session, cwd=working_directory(path), named=True, choice=choice)
        with RUNTIMES[choice.name].open(place) as runtime, runtime.open_homes(len(NAMES)) as homes:

            def facts() -> Facts:
                return surveyed(contract, runtime, homes[0], seconds=import_seconds).facts

            found = complete(
                contract, facts, session=session, runtime=runtime, directory=session.directory, homes=homes
            )
            return found.contract
