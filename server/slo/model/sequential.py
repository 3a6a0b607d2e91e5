"""The fast test: whether far more fails than the objective tolerates, decided after every block of requests.

An e-detector (Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for
sequential change detection", 2023): three bets against "at most the ratio q fails", q
being twice the tolerated ratio p. For the share r of a block that failed, a bet of the
fraction f multiplies its stake by 1 + f (r - q) / q. As long as a block fails with q or
less on average, given all before it, no bet gains on average, however the failures
*within* the block hang together. The stake never falls below 1, which is the CUSUM; so
a false alarm comes at most once in `YEAR_S` blocks on average, a block being a second
or longer. Twice, because an objective that is kept over its window is not kept in every
hour: the peak of a day may fail with more than p.

Retries and other bursts are taken as one piece of evidence: a block is a second with at
least 10 requests, or the seconds that gather so many, a minute at most; no block is worth
more than a third of what the bet on outages needs, and no failure more than a thirtieth of
what the others need.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple, TypeVar

Ratio = TypeVar("Ratio", float, Fraction)

YEAR_S = 365 * 86_400  # one false alarm a year and objective, at most
ALARM = math.log(YEAR_S)
BLOCK_N = 10
BLOCK_S = 60


class Bet(NamedTuple):
    """One bet: its share of the false alarms, the fraction staked, and what tempers it.

    Only blocks of which at least `least` failed count as failed. The logarithm of the
    gain is multiplied by `power` (Jensen: still no gain on average); a block is worth at
    most a `blocks`th of the threshold, and each failure in it at most a `failures`th.
    """

    weight: float
    fraction: float
    power: float
    least: float
    blocks: float
    failures: float

    @property
    def threshold(self) -> float:
        """The logarithm of the stake at which it alarms."""
        return ALARM - math.log(self.weight)


# For outages; for a tenth that fails; for a hundredth, or a little over the tolerated ratio.
BETS: tuple[Bet, ...] = (
    Bet(weight=0.8, fraction=0.9, power=1.0, least=0.5, blocks=2.99, failures=1),
    Bet(weight=0.15, fraction=0.5, power=0.5, least=0.0, blocks=8, failures=30),
    Bet(weight=0.05, fraction=0.2, power=0.5, least=0.0, blocks=16, failures=36),
)
THRESHOLDS = tuple(bet.threshold for bet in BETS)

# Over: what was seen is disbelieved by 1000 to 1 against the tolerated ratio (Wald's test, one-sided).
OVER = math.log(1000)


def null_ratio(tolerated: Ratio) -> Ratio:
    """The ratio up to which no alarm is due: twice the tolerated one, at most half way from it to 1."""
    twice, half_way = 2 * tolerated, (1 + tolerated) / 2
    return min(twice, half_way)


def over_ratio(tolerated: float, seen: float) -> float:
    """The ratio that is weighed against the tolerated one to tell the end of a burn that fails with `seen`.

    It lies so near to what was seen only where that is large, and else at the geometric
    mean: at a steady ratio `seen` the evidence for an end must fall on average, also
    where that is little above the tolerated one.
    """
    seen = max(seen, null_ratio(tolerated))
    return min((1 + tolerated) / 2, max(math.sqrt(tolerated * seen), seen / 2))


def gain(bet: Bet, n: int, bad: float, tolerated: float) -> float:
    """What a block of which `bad` of `n` failed adds to the logarithm of a bet's stake."""
    ratio, null = bad / n, null_ratio(tolerated)
    counted = ratio if ratio >= bet.least else 0.0
    raw = bet.power * math.log1p(bet.fraction * (counted - null) / null)
    return min(raw, bet.threshold / bet.blocks, bet.threshold / bet.failures * bad)


@dataclass(slots=True)
class Stake:
    """One bet so far: the logarithm of its stake, and since when and on what it has grown from 1."""

    log: float = 0.0
    since: int = 0  # Unix seconds; the change point
    bad: int = 0
    total: int = 0


@dataclass(slots=True)
class Fast:
    """The test of one objective. `on` from the alarm until it is over; `onset` in Unix seconds.

    `bad` and `total` are counted since the onset; `seen` is their ratio up to where it last seemed to go on. `better`
    is where it seems to have ended, Unix seconds, with what was counted from there on.
    """

    tolerated: float
    stakes: list[Stake] = field(default_factory=lambda: [Stake() for _ in BETS])
    on: bool = False
    onset: int = 0
    bad: int = 0
    total: int = 0
    over: float = 0.0
    block_start: int = 0
    block_n: int = 0
    block_bad: int = 0
    seen: float = 0.0
    better: int = 0
    better_bad: int = 0
    better_total: int = 0

    @property
    def idle(self) -> bool:
        """Whether a second without failures would change nothing."""
        return not self.on and not self.block_bad and all(stake.log <= 0 for stake in self.stakes)

    @property
    def suspicion(self) -> float:
        """How far the strongest bet is on its way to the alarm, 0 to 1."""
        return max(stake.log / threshold for stake, threshold in zip(self.stakes, THRESHOLDS, strict=True))

    def copy(self) -> Fast:
        """The same, to go on from without changing this."""
        stakes = [Stake(each.log, each.since, each.bad, each.total) for each in self.stakes]
        return replace(self, stakes=stakes)

    def second(self, second: int, n: int, bad: int) -> None:
        """One second, in order; `bad` of `n` failed. A second without requests says nothing but that time passes."""
        if self.block_n == 0:
            self.block_start = second
        self.block_n += n
        self.block_bad += bad
        if self.block_n >= BLOCK_N or (self.block_n and second - self.block_start >= BLOCK_S - 1):
            self._block(self.block_start, self.block_n, self.block_bad)
            self.block_n = self.block_bad = 0

    def _block(self, start: int, n: int, bad: int) -> None:
        for bet, stake in zip(BETS, self.stakes, strict=True):
            if stake.log <= 0:
                stake.log, stake.since, stake.bad, stake.total = 0.0, start, 0, 0
            stake.bad += bad
            stake.total += n
            stake.log = min(max(0.0, stake.log + gain(bet, n, bad, self.tolerated)), bet.threshold)
        if self.on:
            self._go_on(start, n, bad)
        else:
            self._look()

    def _look(self) -> None:
        """Alarm where a bet has won; the largest that did knows the onset best."""
        won = [s for s, threshold in zip(self.stakes, THRESHOLDS, strict=True) if s.log >= threshold]
        if won:
            self.on, self.over = True, 0.0
            self.onset, self.bad, self.total = won[0].since, won[0].bad, won[0].total

    def _go_on(self, start: int, n: int, bad: int) -> None:
        """Count on, and end where it is surely over: the test goes back to its beginning."""
        self.bad += bad
        self.total += n
        if self.over <= 0:
            self.seen = self.bad / self.total
            self.better, self.better_bad, self.better_total = start, 0, 0
        self.better_bad += bad
        self.better_total += n
        ratio = over_ratio(self.tolerated, self.seen)
        good = math.log1p(-self.tolerated) - math.log1p(-ratio)
        self.over = max(0.0, self.over + (n - bad) * good - bad * math.log(ratio / self.tolerated))
        if self.over >= OVER:
            self.stakes = [Stake() for _ in BETS]
            self.on, self.over = False, 0.0
