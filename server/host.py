"""The name of this machine, as people see it beside a process."""

from __future__ import annotations

import os
import socket

HOST = os.environ.get("DYNO") or socket.gethostname()
