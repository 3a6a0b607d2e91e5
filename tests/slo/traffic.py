"""Simulated traffic: daily cycles, nights with little of it, and failures that hang together."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

DAY_S = 86_400
PEAK, NIGHT = 60.0, 0.05  # requests a second
ALONE, TOGETHER = 0.0003, 0.0002  # what fails by itself, and in clusters: 99.95 % succeed
CLUSTER, MOST = 6.0, 20  # failures in a cluster on average, geometric, and at most: one client that tries again
GAPS_S = (0, 0, 1, 1, 2, 4)  # between its tries


def rate(second: int) -> float:
    """Requests a second at a time of the day: a sine whose trough is cut off."""
    wave = math.sin(2 * math.pi * (second % DAY_S) / DAY_S)
    return max(NIGHT, PEAK * (0.35 + 0.65 * wave))


def poisson(chance: random.Random, mean: float) -> int:
    """A Poisson number; of a large mean by the normal one."""
    if mean > 30:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        count += 1
        product *= chance.random()
    return count


def healthy(seed: int, days: int) -> Iterator[tuple[int, int]]:
    """(n, bad) of each second of a healthy service."""
    chance = random.Random(seed)
    later: dict[int, int] = {}
    for second in range(days * DAY_S):
        mean = rate(second)
        n = poisson(chance, mean)
        bad = min(n, poisson(chance, n * ALONE)) if n else 0
        if chance.random() < mean * TOGETHER / CLUSTER:
            retry(chance, later, second)
        more = later.pop(second, 0)
        yield n + more, bad + more


def cycling(seed: int, days: int, per_second: float, ratio: float, swing: float) -> Iterator[tuple[int, int]]:
    """(n, bad) of each second: `ratio` fails on average, more and less by the share `swing` in the course of a day."""
    chance = random.Random(seed)
    for second in range(days * DAY_S):
        n = poisson(chance, per_second)
        yield n, min(n, poisson(chance, n * ratio * (1 + swing * math.sin(2 * math.pi * second / DAY_S))))


def retry(chance: random.Random, later: dict[int, int], second: int) -> None:
    """One cluster: its tries, at their seconds."""
    at = second
    for _ in range(MOST):
        later[at] = later.get(at, 0) + 1
        if chance.random() < 1 / CLUSTER:
            return
        at += chance.choice(GAPS_S)
