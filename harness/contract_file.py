"""From a contract in Python to pure data.

The file is executed in a process of its own, since it is its team's code: whatever it prints, raises or waits for stays
there. `python -m harness.contract_file PATH FD SEED` writes one JSON object to the descriptor.
"""

import json
import os
import runpy
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec

from harness.contract import Contract, ContractError, is_strategy

NAME = "CONTRACT"
COMPILE_SECONDS_MAX = 20.0


def compile_contract(path: Path, *, seed: int = 0) -> Contract:
    """The value of `CONTRACT` in a Python file; inputs that it gives as a strategy are drawn with the seed.

    :raises ContractError: one line that names the file, the line where it is known, and what is wrong
    """
    if not path.is_file():
        raise ContractError(f"{path}: there is no such file")
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as pipe:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "harness.contract_file", str(path.resolve()), str(write_end), str(seed)],
                pass_fds=(write_end,),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=COMPILE_SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ContractError(f"{path}: it was not compiled within {COMPILE_SECONDS_MAX:g} s") from error
        finally:
            os.close(write_end)
        # A daemon that the contract left behind may hold the other end: read what is there, not until the end.
        os.set_blocking(read_end, False)
        data = pipe.read() or b""
    if not data:
        raise ContractError(f"{path}: its process ended with exit code {done.returncode} and gave no contract")
    answer = json.loads(data)
    if "error" in answer:
        raise ContractError(f"{path}{answer['error']}")
    from harness.systems import system_of  # not for the process that executes the file, which has no use for it

    try:
        contract = msgspec.convert(answer["contract"], Contract)
        system_of(contract)
    except (msgspec.ValidationError, ContractError) as error:
        raise ContractError(f"{path}: {error}") from error
    return contract


def working_directory(path: Path) -> Path:
    """Where the subject of a contract runs: beside its file, or beside the package that the file is in."""
    directory = path.resolve().parent
    while (directory / "__init__.py").exists():
        directory = directory.parent
    return directory


def _compile(path: Path, seed: int) -> dict[str, Any]:
    sys.path.insert(0, str(working_directory(path)))
    try:
        namespace = runpy.run_path(str(path))
    except BaseException as error:  # a contract is code: SystemExit and the like are answers too
        return {"error": f"{_line(error, path)}: {_words(error)}"}
    contract = namespace.get(NAME)
    if not isinstance(contract, Contract):
        found = "it is not defined" if contract is None else f"it is a {type(contract).__name__}"
        return {"error": f": {NAME} must be a harness.contract.Contract; {found}"}
    if any(is_strategy(task.inputs) or task.drawn for task in contract.tasks):
        from harness.drawing import with_inputs_drawn

        try:
            contract = with_inputs_drawn(contract, seed=seed)
        except ContractError as error:
            return {"error": f"{_line_of_task(path, contract, error)}: {error}"}
    try:
        return {"contract": json.loads(msgspec.json.encode(contract))}
    except (TypeError, ValueError) as error:
        return {"error": f": the contract holds what JSON cannot: {error}"}


def _line(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f":{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f":{frames[-1].lineno}" if frames else ""


def _line_of_task(path: Path, contract: Contract, error: ContractError) -> str:
    from harness.contract_lines import lines_with

    named = [task.name for task in contract.tasks if f"({task.name!r})" in str(error)]
    lines = [line for name in named for line in lines_with(path, name)]
    return f":{lines[0]}" if lines else ""


def _words(error: BaseException) -> str:
    if isinstance(error, ContractError):
        return str(error)
    return traceback.format_exception_only(type(error), error)[-1].strip()


def main() -> None:
    path, descriptor, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    os.set_inheritable(descriptor, False)
    answer = json.dumps(_compile(path, seed)).encode()
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(answer)


if __name__ == "__main__":
    main()
