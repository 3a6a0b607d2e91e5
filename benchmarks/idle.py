"""What the service costs while nothing is sent to it: CPU a minute of each part, beside the base build."""

from __future__ import annotations

import time

from benchmarks.base import NO_BASE, side_by_side
from benchmarks.cpu import Parts, seconds
from benchmarks.figure import Figure, aimed, compared
from tests.running import Running

SETTLE_S = 80.0  # first runs of the jobs; the checks of the repository, once a day, come a minute after a start
ROUNDS = 3
ROUND_S = 20.0
PARTS = ("web", "watch", "database", "supervisor")


def run() -> list[Figure]:
    """Seconds a minute. Both builds idle at the same time: neither disturbs the other."""
    with side_by_side(WEB_CONCURRENCY="1") as servers:
        time.sleep(SETTLE_S)
        tried = [Idle(server) for server in servers]
        for _ in range(ROUNDS):
            for each in tried:
                each.begin()
            time.sleep(ROUND_S)
            for each in tried:
                each.end()
    ours, base = tried[0].taken, tried[1].taken if tried[1:] else {part: [] for part in PARTS}
    whole, whole_base = ([sum(each) for each in zip(*taken.values(), strict=True)] for taken in (ours, base))
    return [
        aimed("idle CPU a minute, whole service", whole, "s", whole_base, "" if tried[1:] else NO_BASE),
        *(compared(f"idle CPU a minute, {part}", ours[part], "s", base[part]) for part in PARTS),
    ]


class Idle:
    """One server that nothing is sent to; `taken`: seconds a minute by part, a value each round."""

    def __init__(self, server: Running) -> None:
        self.parts = Parts(server)
        self.taken: dict[str, list[float]] = {part: [] for part in PARTS}

    def begin(self) -> None:
        self.at, self.before = time.monotonic(), self.read()

    def end(self) -> None:
        minutes = (time.monotonic() - self.at) / 60
        for part, used in self.read().items():
            self.taken[part].append((used - self.before[part]) / minutes)

    def read(self) -> dict[str, float]:
        return {part: seconds(getattr(self.parts, part)) for part in PARTS}
