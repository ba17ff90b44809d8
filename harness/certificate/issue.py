"""Signs what a certification found and writes it, or says why not."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness.audit.finding import Audit
from harness.certificate.digests import DISTRIBUTIONS, IMAGE, SOURCE, digests_of
from harness.certificate.dsse import sign
from harness.certificate.keys import pem_of, signing_key
from harness.certificate.statement import Control, refused, statement
from harness.certify.findings import CRASH_POINTS, SCENARIOS
from harness.certify.result import Certification
from harness.codec import encode, pretty, read
from harness.contract_file import working_directory
from harness.explore.files import EXPLORE_JSON
from harness.explore.result import Exploration
from harness.result import Result
from harness.runtimes.subject import found_python


def issue(
    target: Path,
    found: Certification,
    *,
    directory: Path,
    contract_file: Path,
    python: str,
    controls: Sequence[Control],
    accepted: Sequence[str],
    key_file: Path,
    days: int,
) -> tuple[str, ...]:
    """Write the certificate to `target`; why it was refused, nothing if it was not. `directory` holds the record.

    :raises KeyFileError: there is no key to sign with
    :raises OSError: it cannot be written
    """
    if why := refused(found, controls, accepted):
        return why
    root = working_directory(contract_file)
    python = "" if found.image else python  # that is the image's, which speaks for itself
    digests = digests_of(contract_file, root, python=found_python(python, root), leave_out=target)
    if found.image:
        digests = {name: digest for name, digest in digests.items() if name != DISTRIBUTIONS}
        digests[IMAGE] = found.image.removeprefix("sha256:")
    if SOURCE not in digests:
        return ("the source tree cannot be read",)
    audit = read(directory / "audit.json", Audit) if (directory / "audit.json").is_file() else None
    explored = sorted(directory.glob(f"{CRASH_POINTS}/*/{EXPLORE_JSON}"))
    key = signing_key(key_file)
    told = statement(
        found,
        read(directory / SCENARIOS / "result.json", Result),
        [read(path, Exploration) for path in explored],
        contract_file=str(contract_file),
        python=python,
        digests=digests,
        settings=audit.facts.settings if audit is not None else {},
        controls=controls,
        accepted=accepted,
        issued=datetime.now(UTC),
        days=days,
        public_key=pem_of(key.public_key()),
    )
    target.write_bytes(pretty(sign(encode(told), key)))
    return ()
