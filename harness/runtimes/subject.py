"""What the subject's processes start with, whatever their job system."""

import os
import sys
from collections.abc import Mapping


def subject_python() -> str:
    return sys.executable


def subject_environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment that the subject starts with: the caller's, without the harness's own variables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JOBPROOF_")}
    return {**inherited, **own}
