"""Names: of our own service, of what is counted together, of this machine and this process."""

from __future__ import annotations

import os

OWN = "evenkeel"  # our own service, and who makes what nobody else has made
OWN_CHECK = "Evenkeel-Own-Check"  # the header by which the service knows its own checks
TRIAL = "Evenkeel-Trial"  # the header of a request that is sent to be refused, as a check does
NOT_FOUND = "(not found)"  # the route of what was never found
OTHER = "(other)"  # what came over a cap of services, routes or versions, and what is not shown apart
DRILL = "drill:"  # what the name of a service begins with that a drill sends
HOST = os.environ.get("DYNO") or os.uname().nodename

_process = "main"


def is_drill(service: str) -> bool:
    """Whether a service is a drill's: out of budgets and measures, and marked DRILL wherever people read of it.

    A service that somebody runs under such a name is one too; the policy takes no objective for it.
    """
    return service.startswith(DRILL)


def marked(service: str, text: str) -> str:
    """A text for people about a service; of a drill's with DRILL before it."""
    return f"DRILL {text}" if is_drill(service) else text


def name_process(name: str) -> None:
    """Say which process this is, before it counts or logs: web.1."""
    global _process  # noqa: PLW0603 - a process has one name
    _process = name


def process_name() -> str:
    return _process
