"""The command line: serve (the default), user, key, import, slo, gate, change, incident, drill, doctor,
database, restored, reseal, distribute.
"""

from __future__ import annotations

import sys

import click

from server import __version__
from server.alerts.backtest_command import backtest_command
from server.auth.commands import key, user
from server.changes.command import change
from server.distribute.command import distribute
from server.doctor.command import doctor
from server.drill.command import drill
from server.gate.command import gate
from server.import_command import import_log
from server.incidents.command import incident
from server.kernel.errors import ConfigurationError
from server.kernel.terminal import say
from server.process.database_command import database
from server.reseal.command import reseal
from server.restored.command import restored
from server.slo.policy.commands import slo


@click.group(invoke_without_command=True)
@click.version_option(__version__, prog_name="evenkeel")
@click.pass_context
def main(context: click.Context) -> None:
    """Evenkeel: incident command for teams that deploy with git push."""
    if context.invoked_subcommand is None:
        context.invoke(serve)


@main.command()
def serve() -> None:
    """Serve on PORT until Ctrl-C or SIGTERM. Settings come from the environment: docs/settings.md."""
    from server.kernel.settings import read_environment
    from server.process.serve import serve as run

    run(read_environment())


main.add_command(user)
main.add_command(key)
main.add_command(import_log)
main.add_command(gate)
main.add_command(change)
main.add_command(incident)
main.add_command(drill)
main.add_command(doctor)
main.add_command(database)
main.add_command(restored)
main.add_command(reseal)
main.add_command(distribute)
main.add_command(slo)
slo.add_command(backtest_command)

if __name__ == "__main__":
    try:
        main()
    except ConfigurationError as wrong:
        say(f"evenkeel: {wrong}", err=True)
        sys.exit(2)
