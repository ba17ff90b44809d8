"""`python -m reference_worker dead-letters`: looking at dead letters and giving them back."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any, NoReturn

import click
import redis
import sqlalchemy as sa
from kombu.exceptions import OperationalError

from reference_worker.dead_letters.letter import DeadLetter
from reference_worker.dead_letters.office import Office
from reference_worker.dead_letters.replay import NotReplayableError, replay

_BODY_CHARACTERS_SHOWN = 4000


@click.group("dead-letters")
def dead_letters() -> None:
    """What was given up: look at it, and give it back to its queue."""


_format = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)


@dead_letters.command("list")
@_format
def list_(form: str) -> None:
    """One line a letter, oldest first."""
    with _office() as (_app, office):
        letters = office.table.all()
    if form == "json":
        click.echo(json.dumps([_summary(letter) for letter in letters], indent=2))
        return
    for letter in letters:
        click.echo(
            "  ".join(
                (
                    f"{letter.last_given_up_at:%Y-%m-%dT%H:%M:%SZ}",
                    "replayed" if letter.replayed_at else "dead",
                    visible(letter.message_id),
                    visible(letter.task) or "-",
                    visible(letter.reason.partition("\n")[0])[:120],
                )
            )
        )
    click.echo(f"{len(letters)} dead letter(s)", err=True)


@dead_letters.command()
@click.argument("message_id", metavar="ID")
@_format
def show(message_id: str, form: str) -> None:
    """Everything about one letter."""
    with _office() as (_app, office):
        letter = office.table.get(message_id) or _unknown(message_id)
    if form == "json":
        body = base64.b64encode(letter.body).decode()
        click.echo(
            json.dumps({**_summary(letter), "headers": json.loads(letter.headers), "body_base64": body}, indent=2)
        )
        return
    for name, value in _summary(letter).items():
        click.echo(f"{name:18} {visible('-' if value is None else str(value))}")
    click.echo(f"{'headers':18} {visible(letter.headers)}")
    text = letter.body.decode("utf-8", "backslashreplace")
    cut = f" (the first {_BODY_CHARACTERS_SHOWN} characters)" if len(text) > _BODY_CHARACTERS_SHOWN else ""
    click.echo(f"body, {len(letter.body)} bytes{cut}:\n{visible(text[:_BODY_CHARACTERS_SHOWN])}")


@dead_letters.command("replay")
@click.argument("message_id", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="Every letter that was not replayed since it was given up.")
def replay_(message_id: str | None, everything: bool) -> None:
    """Publish a letter's message again, as it was delivered, with retries at 0 and no eta or expiry."""
    if (message_id is None) == (not everything):
        raise click.UsageError("name one ID, or --all")
    with _office() as (app, office):
        if message_id is not None:
            letters = [office.table.get(message_id) or _unknown(message_id)]
        else:
            letters = [letter for letter in office.table.all() if letter.replayed_at is None and letter.is_message]
        refused = 0
        for letter in letters:
            try:
                replay(app, office.table, letter)
            except NotReplayableError as error:
                refused += 1
                click.echo(f"{visible(letter.message_id)}: not replayed: {error}", err=True)
            else:
                click.echo(f"{visible(letter.message_id)}: published to {visible(letter.queue)}, retries reset to 0")
    if refused:
        raise SystemExit(1)


def visible(text: str) -> str:
    """`text` without anything that a terminal could take for a command."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "backslashreplace").decode() for each in text
    )


def _summary(letter: DeadLetter) -> dict[str, Any]:
    values = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(letter).items()
        if name not in {"body", "headers"}
    }
    return {**values, "body_bytes": len(letter.body)}


@contextmanager
def _office() -> Iterator[tuple[Any, Office]]:
    """The application and its office, with what waits in the spool already in the table where that is possible."""
    from reference_worker.app import app

    try:
        app.reference_letters.table.create()
        app.reference_letters.flush()
        yield app, app.reference_letters
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise click.ClickException(visible(f"{type(error).__name__}: {error}".partition("\n")[0])) from error
    except (OperationalError, redis.RedisError) as error:
        raise click.ClickException(visible(f"the broker cannot be reached: {error}".partition("\n")[0])) from error


def _unknown(message_id: str) -> NoReturn:
    click.echo(f"there is no dead letter {visible(message_id)!r}; see `dead-letters list`", err=True)
    raise SystemExit(2)
