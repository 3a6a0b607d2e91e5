"""The command line: serve (the default), and what stands in COMMANDS, each in its domain's command file."""

from __future__ import annotations

import sys

import click

from server import __version__
from server.kernel.errors import ConfigurationError
from server.kernel.lazy_group import LazyGroup
from server.kernel.terminal import say

COMMANDS = {
    "change": "server.changes.command:change",
    "config": "server.config.command:config",
    "database": "server.process.database_command:database",
    "distribute": "server.distribute.command:distribute",
    "doctor": "server.doctor.command:doctor",
    "drill": "server.drill.command:drill",
    "gate": "server.gate.command:gate",
    "import": "server.import_command:import_log",
    "incident": "server.incidents.command:incident",
    "maintenance": "server.maintenance.command:maintenance",
    "key": "server.auth.commands:key",
    "outcome": "server.live.command:outcome",
    "reseal": "server.reseal.command:reseal",
    "restored": "server.restored.command:restored",
    "user": "server.auth.commands:user",
}
OBJECTIVES = {
    "apply": "server.slo.policy.commands:apply_command",
    "backtest": "server.alerts.backtest_command:backtest_command",
    "budget": "server.slo.api.command:budget",
    "lint": "server.slo.policy.commands:lint",
    "rules": "server.slo.policy.commands:rules_command",
    "status": "server.slo.api.command:status",
}


@click.group(cls=LazyGroup, lazy=COMMANDS, invoke_without_command=True)
@click.version_option(__version__, prog_name="evenkeel")
@click.pass_context
def main(context: click.Context) -> None:
    """Evenkeel: incident command for teams that deploy with git push.

    Exit status: 0 done; 1 a no, nothing found or not all done; 2 it could not be asked, or was refused.
    """
    if context.invoked_subcommand is None:
        context.invoke(serve)


@main.command()
def serve() -> None:
    """Serve on PORT until Ctrl-C or SIGTERM (the default).

    Settings come from the environment: docs/settings.md.
    """
    from server.kernel.settings import read_environment
    from server.process.serve import serve as serve_now

    serve_now(read_environment())


@main.group(cls=LazyGroup, lazy=OBJECTIVES)
def slo() -> None:
    """Objectives: how they stand, and their file."""


def run() -> None:
    """The command `evenkeel`, and `python -m server`."""
    try:
        main()
    except ConfigurationError as wrong:
        say(f"evenkeel: {wrong}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    run()
