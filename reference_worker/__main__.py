"""`python -m reference_worker`: what the people who run the worker need."""

import importlib

import click

_COMMANDS = {
    "dead-letters": "reference_worker.dead_letters.command:dead_letters",
    "monitor": "reference_worker.monitor.command:monitor",
}


class Commands(click.Group):
    """Each command is imported when it is asked for: the monitor needs neither Celery nor the worker's tables."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        module, _, name = _COMMANDS.get(cmd_name, "").partition(":")
        return getattr(importlib.import_module(module), name) if module else None


@click.group(cls=Commands)
def main() -> None:
    """The reference worker: its dead letters and its monitor."""


if __name__ == "__main__":
    main(prog_name="python -m reference_worker")
