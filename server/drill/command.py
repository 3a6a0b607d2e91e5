"""`python -m server drill SCENARIO`: breaks a service of its own at a running instance, and times what is made of it.

Needs the standard library and click alone, as the gate's command does.
"""

from __future__ import annotations

import sys

import click

from server.drill.run import Drill, RealClock
from server.drill.scenarios import SCENARIOS
from server.drill.site import SCOPES, DrillSite
from server.kernel.remote import NotAsked, where
from server.kernel.terminal import say

CANNOT_BE_ASKED = 2
STOPPED = 130


@click.command()
@click.argument("scenario", type=click.Choice(list(SCENARIOS)))
@click.option("--auto", is_flag=True, help="acts itself; else it waits for a commander to act in the room")
def drill(scenario: str, auto: bool) -> None:
    """Break a service of its own, and time what is made of it.

    At EVENKEEL_URL with EVENKEEL_API_KEY, a key of the scopes read, act and admin. Sends real traffic of the
    service drill:SCENARIO, breaks it, and prints the time to detect, to suspect, to mitigate and to the verified
    recovery. Exits with 1 where it was not detected, another suspect was named or the recovery was not proven.
    Ctrl-C stops the traffic and takes away what was set.
    """
    clock = RealClock()
    try:
        site = DrillSite(*where(SCOPES))
        say(f"DRILL {scenario} at {site.url}")
        found = Drill(SCENARIOS[scenario](site, clock.now()), clock, say, auto=auto).run()
    except NotAsked as error:
        say(f"The drill ends: {error}", err=True)
        sys.exit(CANNOT_BE_ASKED)
    except KeyboardInterrupt:
        say("Stopped: no more is sent, and what was set is taken away.", err=True)
        sys.exit(STOPPED)
    for line in found.lines():
        say(line)
    if found.wrong:
        say(f"Not passed: {found.wrong}.", err=True)
        sys.exit(1)
