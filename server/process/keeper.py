"""Runs the embedded PostgreSQL for as long as somebody needs it: `python keeper.py LOCK COMMAND…`.

Whoever needs the database holds a shared lock on LOCK, which the kernel takes back when the last process that
has it ends, however it ends. Then the database is stopped. It needs nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import fcntl
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

FAST_WITHIN_S = 15.0
PR_SET_PDEATHSIG = 1


def main(lock: Path, command: list[str]) -> int:
    """Run the command until it ends; its exit status."""
    with subprocess.Popen(command, preexec_fn=end_with_me) as postgres:  # noqa: PLW1509 - there is no thread yet
        threading.Thread(target=stop_when_alone, args=(lock, postgres), daemon=True).start()
        return postgres.wait()


def stop_when_alone(lock: Path, postgres: subprocess.Popen[bytes]) -> None:
    """Wait until nobody holds the lock, then fast shutdown, then immediate. Who comes meanwhile waits for our end."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        postgres.send_signal(signal.SIGINT)
        time.sleep(FAST_WITHIN_S)
        postgres.send_signal(signal.SIGQUIT)
        threading.Event().wait()


def end_with_me() -> None:
    """In the child: a keeper that is killed takes the database along, and whoever needs it starts it again."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
