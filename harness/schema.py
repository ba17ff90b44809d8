"""The published JSON Schema of `result.json`, generated from the types: `python -m harness.schema PATH`."""

import sys
from pathlib import Path

import msgspec

from harness.codec import pretty
from harness.result import Result


def result_schema() -> dict[str, object]:
    schema = msgspec.json.decode(
        msgspec.json.encode(msgspec.json.schema(Result))
    )  # JSON's types: an empty default is []
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "jobproof result",
        "description": "What `jobproof run` writes to result.json.",
        **schema,
    }


def main() -> None:
    Path(sys.argv[1]).write_bytes(pretty(result_schema()))


if __name__ == "__main__":
    main()
