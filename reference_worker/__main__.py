"""`python -m reference_worker`: what the people who run the worker need."""

import click

from reference_worker.dead_letters.command import dead_letters


@click.group()
def main() -> None:
    """The reference worker: its dead letters and its monitor."""


main.add_command(dead_letters)


@main.command()
def monitor() -> None:
    """Watch the queues: metrics over HTTP, alerts to the webhook."""
    from reference_worker import settings
    from reference_worker.monitor.run import run

    run(settings.read())


if __name__ == "__main__":
    main(prog_name="python -m reference_worker")
