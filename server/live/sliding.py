"""Counts over the newest seconds: what enters is added, what leaves is taken away."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from server.live.pairs import COUNT_MASK
from server.live.sketch import quantile_us


class Ring:
    """Two counts a second, n and bad, over the `span` seconds before `end`."""

    def __init__(self, span: int, end: int) -> None:
        self.span = span
        self.end = end
        self._n = array("q", bytes(8 * span))
        self._bad = array("q", bytes(8 * span))

    def add(self, second: int, n: int, bad: int) -> None:
        """Seconds outside [end - span, end) are left out."""
        if self.end - self.span <= second < self.end:
            self._n[second % self.span] += n
            self._bad[second % self.span] += bad

    def advance(self, end: int) -> None:
        """Move on; time does not go back."""
        for second in range(max(self.end, end - self.span), end):
            self._n[second % self.span] = self._bad[second % self.span] = 0
        self.end = max(self.end, end)

    def at(self, second: int) -> tuple[int, int]:
        """n and bad of one second within the span."""
        return self._n[second % self.span], self._bad[second % self.span]

    def sum(self, start: int, stop: int) -> tuple[int, int]:
        """n and bad of [start, stop), as far as it is within the span."""
        start, stop = max(start, self.end - self.span), min(stop, self.end)
        if start >= stop:
            return 0, 0
        first, last = start % self.span, (stop - 1) % self.span + 1
        if first < last:
            return sum(self._n[first:last]), sum(self._bad[first:last])
        n = sum(self._n[first:]) + sum(self._n[:last])
        return n, sum(self._bad[first:]) + sum(self._bad[:last])


class Sliding:
    """Counts and sketch of [end - span, end)."""

    __slots__ = ("_end", "_seconds", "_span", "bad", "n", "sketch")

    def __init__(self, span: int, end: int) -> None:
        self._span = span
        self._end = end
        self._seconds: dict[int, tuple[list[int], array[int]]] = {}  # [n, bad] and packed pairs: 8 bytes each
        self.n = 0
        self.bad = 0
        self.sketch: dict[int, int] = {}

    def add(self, second: int, n: int, bad: int, packed: Sequence[int]) -> None:
        """Seconds outside the window are left out."""
        if not self._end - self._span <= second < self._end:
            return
        tally, kept = self._seconds.setdefault(second, ([0, 0], array("q")))
        tally[0] += n
        tally[1] += bad
        kept.extend(packed)
        self.n += n
        self.bad += bad
        for pair in packed:
            key = pair >> 32
            self.sketch[key] = self.sketch.get(key, 0) + (pair & COUNT_MASK)

    def advance(self, end: int) -> None:
        """Move on, and take away the seconds that left."""
        self._end = max(self._end, end)
        for second in [second for second in self._seconds if second < self._end - self._span]:
            tally, packed = self._seconds.pop(second)
            self.n -= tally[0]
            self.bad -= tally[1]
            for pair in packed:
                self._take(pair >> 32, pair & COUNT_MASK)

    def _take(self, key: int, count: int) -> None:
        left = self.sketch[key] - count
        if left:
            self.sketch[key] = left
        else:
            del self.sketch[key]

    def at(self, second: int) -> dict[int, int]:
        """The sketch of one second."""
        into: dict[int, int] = {}
        if second in self._seconds:
            for pair in self._seconds[second][1]:
                into[pair >> 32] = into.get(pair >> 32, 0) + (pair & COUNT_MASK)
        return into

    def quantile_ms(self, q: float) -> float | None:
        return milliseconds(quantile_us(self.sketch, q))


def milliseconds(us: float | None) -> float | None:
    """Microseconds as milliseconds, to six digits: to a whole microsecond short ones would be off by more than 1 %."""
    return None if us is None else float(f"{us / 1000:.6g}")
