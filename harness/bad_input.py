"""What a person typed that cannot be meant."""

import click

from harness.exit_codes import ExitCode


class BadInputError(click.ClickException):
    """What the person typed cannot be meant; one line says what to type instead."""

    exit_code = ExitCode.BAD_INPUT
