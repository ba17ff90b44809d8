"""How commands have learnt what a contract leaves out."""

from pathlib import Path

from harness.audit.facts import Facts
from harness.audit.survey import survey
from harness.contract import Contract, fill
from harness.contract_file import working_directory
from harness.learning.complete import NAMES, complete
from harness.runtimes.home import LaneHome, open_homes
from harness.runtimes.subject import subject_python
from harness.services.broker import resolve
from harness.session import open_session


def learnt(contract: Contract, path: Path, *, import_seconds: float) -> Contract:
    """The contract of the file `path`, told in full; no record is kept of the runs.

    :raises SubjectError: its subject does not import, or does not do its jobs even without a fault
    :raises NoBrokerError: there is no broker to run it with
    """
    server, cwd = resolve(), working_directory(path)
    with open_session(in_memory=True) as session, open_homes(session, len(NAMES)) as homes:

        def facts() -> Facts:
            python = subject_python(contract, cwd)
            environment = surroundings(contract, homes[0])
            return survey(contract.app, python=python, cwd=cwd, seconds=import_seconds, environment=environment)

        found = complete(
            contract, facts, session=session, server=server, directory=session.directory, cwd=cwd, homes=homes
        )
        return found.contract


def surroundings(contract: Contract, home: LaneHome) -> dict[str, str]:
    """What the subject is started with in this lane, for an import that needs its settings; nothing listens there."""
    home.make_ready()
    values = {**home.placeholders, "python": ""}
    own = {name: fill(text, values, where=name) for name, text in contract.environment.items()}
    return {"CELERY_BROKER_URL": values["broker_url"], **own}
