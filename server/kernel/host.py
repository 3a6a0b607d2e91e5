"""Where we run: the machine's name, and this process's, as people see them."""

from __future__ import annotations

import os
import socket

HOST = os.environ.get("DYNO") or socket.gethostname()

_process = "main"


def name_process(name: str) -> None:
    """Say which process this is, before it counts or logs: web.1."""
    global _process  # noqa: PLW0603 - a process has one name
    _process = name


def process_name() -> str:
    return _process
