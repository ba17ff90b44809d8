"""`python -m reference_worker monitor`."""

import click

from reference_worker import settings
from reference_worker.monitor.run import run


@click.command()
def monitor() -> None:
    """Watch the queues: metrics over HTTP, alerts to the webhook."""
    run(settings.read())
