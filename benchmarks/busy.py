"""How busy the machine was while something was measured, and with whose work."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")


class Busy(NamedTuple):
    """Load averages of a minute, and shares of all cores' time: taken by the host, and by others than us."""

    seconds: float
    load_before: float
    load_after: float
    steal: float
    others: float

    def line(self) -> str:
        """For a terminal."""
        load = f"load {self.load_before:.1f} before, {self.load_after:.1f} after"
        shares = f"steal {self.steal:.0%}, others {self.others:.0%} of the CPU"
        return f"{self.seconds:.0f} s, {load}, {shares}"


class Cores(NamedTuple):
    """Seconds of all cores together since the machine started."""

    worked: float
    stolen: float
    total: float


@contextlib.contextmanager
def watched() -> Iterator[Callable[[], Busy]]:
    """What is called at the end says how busy it was. Only what has ended by then counts as ours."""
    adopt_orphans()
    began, load, cores, own = time.monotonic(), os.getloadavg()[0], read_cores(), own_seconds()

    def busy() -> Busy:
        reap()
        now = read_cores()
        total = max(now.total - cores.total, 1e-9)
        others = now.worked - cores.worked - (own_seconds() - own)
        took = time.monotonic() - began
        steal = (now.stolen - cores.stolen) / total
        return Busy(took, load, os.getloadavg()[0], steal, max(0.0, others) / total)

    yield busy


def adopt_orphans() -> None:
    """Where a server leaves a database behind, it becomes ours, and its time is counted when it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def reap() -> None:
    """Take note of every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def own_seconds() -> float:
    """CPU of this process and of all that it has started and that has ended."""
    return sum(os.times()[:4])


def read_cores() -> Cores:
    """From /proc/stat."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, idle, iowait, irq, softirq, steal = (int(field) / TICKS for field in fields)
    worked = user + nice + system + irq + softirq
    return Cores(worked, steal, worked + idle + iowait + steal)
