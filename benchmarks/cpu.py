"""CPU by the scheduler's accounting: what a process has used, to the nanosecond, however busy the machine is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from tests.running import Running

TICKS = os.sysconf("SC_CLK_TCK")


class Parts:
    """The processes of one server by what they are, as they were when it was asked."""

    def __init__(self, server: Running) -> None:
        children = sorted(server.children())  # forked in this order: the web processes, then the watch
        self.web, self.watch = children[:-1], children[-1:]
        rest = set(tree(server.process.pid)) - set(tree(*children))
        self.database = [pid for pid in rest if "postgres" in command(pid)]
        self.supervisor = [pid for pid in rest if "postgres" not in command(pid)]


def seconds(pids: Iterable[int]) -> float:
    """CPU of these processes, of what they have started and that has ended too. It only grows while they live."""
    return sum(of_process(pid) for pid in pids)


def of_process(pid: int) -> float:
    """Of all its threads, and of the children that it has seen end; 0 where it is gone."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        own, ended = (sum(int(field) for field in fields[at : at + 2]) / TICKS for at in (11, 13))
        threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
        return max(own, sum(int(each.read_text().split()[0]) for each in threads) / 1e9) + ended
    return 0.0


def tree(*roots: int) -> list[int]:
    """The processes and all below them."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = list(roots)
    for pid in found:
        found += children.get(pid, [])
    return found


def command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""
