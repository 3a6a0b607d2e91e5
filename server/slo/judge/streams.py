"""The live stream of every objective: good and bad by the second, and the fast test over it.

Seconds change while outcomes arrive late, so the test goes on from what is older than
`LATE_S`, and is made again over what is newer; where nothing came late, only over the
last `NEAR_S`. What is later than `LATE_S` counts in the oldest second that is still open:
no evidence is lost, it only seems younger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from server.live.deltas import Delta
from server.slo.model.memory import Memory, Recovery
from server.slo.model.objective import Objective
from server.slo.model.sequential import Fast

LATE_S = 75  # exporters gather for a minute
NEAR_S = 3  # most outcomes arrive within so much
KEPT_S = 60  # the impact is the bad ratio of the last minute
FORGOTTEN_S = 300  # what is later than that says nothing of now
STALE_S = 900  # without a watch for longer: time without requests more or less says nothing


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the fast test says now. `onset` in Unix seconds, None: it is not on; bad and total since then.

    `suspicion` is how near the alarm is, 0 to 1; `minute` the bad and the total of the last minute;
    `memory` what came before, and `end` the second after the last that was looked at. `recovery`: what says that the
    last failure has ended.
    """

    onset: int | None
    bad: int
    total: int
    suspicion: float
    minute: tuple[int, int]
    memory: Memory = field(default_factory=Memory)
    end: int = 0
    recovery: Recovery | None = None


SILENT = Verdict(None, 0, 0, 0.0, (0, 0))


class Stream:
    """One objective's seconds, going on from what is remembered."""

    def __init__(self, tolerated: float, memory: Memory | None = None) -> None:
        self.memory = memory or Memory()
        self.settled = self.memory.fast or Fast(tolerated)
        self.on = self.memory.heard is not None and self.memory.since is None  # at the last look
        self.next = self.memory.next  # the first second that is not settled; None: none is
        self.again = self.next is not None  # what was settled before is heard once more
        self.seconds: dict[int, list[int]] = {}  # second -> [n, bad]
        self._near: tuple[int, Fast] | None = None  # the test up to a newer second, while nothing came late

    def add(self, second: int, n: int, bad: int) -> None:
        """Count into a second, or where that is settled into the oldest that is open."""
        if bad:
            self.memory.failed(second)
        if self.next is not None and second < self.next and not self.again:
            if second < self.next - FORGOTTEN_S:
                return
            second = self.next
        kept = self.seconds.setdefault(second, [0, 0])
        kept[0] += n
        kept[1] += bad
        if self._near is not None and second < self._near[0]:
            self._near = None

    def verdict(self, end: int) -> Verdict:
        """The test over everything before `end`, Unix seconds."""
        self.again = False
        self.memory.begin(end)
        self._settle(end - LATE_S)
        fast = self.settled
        if not fast.idle or any(bad for second, (_, bad) in self.seconds.items() if second < end):
            fast = self._now(end)
        self.memory.alarm(fast, self.on, end)
        self.on = fast.on
        onset, bad, total = (fast.onset, fast.bad, fast.total) if fast.on else (None, 0, 0)
        memory = self._remembered(end)
        recovery = memory.recovery(fast, end)
        return Verdict(onset, bad, total, fast.suspicion, self.minute(end), memory, end, recovery)

    def for_next_watch(self) -> Memory:
        """What the next watch goes on from."""
        settled = None if self.settled.idle else self.settled.copy()
        return structs.replace(self.memory, next=self.next, fast=settled)

    def _remembered(self, end: int) -> Memory:
        """What is remembered, with the seconds that are not settled yet."""
        found = structs.replace(self.memory)
        for second, (n, bad) in self.seconds.items():
            if self.next is not None and self.next <= second < end:
                found.count(second, n, bad)
        return found

    def _now(self, end: int) -> Fast:
        assert self.next is not None, "it was settled up to here"
        if self._near is None or self._near[0] < self.next:
            self._near = (self.next, self.settled.copy())
        start, fast = self._near
        near = max(start, end - NEAR_S)
        self._run(fast, start, near)
        self._near = (near, fast)
        fast = fast.copy()
        self._run(fast, near, end)
        return fast

    def minute(self, end: int) -> tuple[int, int]:
        """Bad and total of the last minute."""
        last = [kept for second, kept in self.seconds.items() if end - KEPT_S <= second < end]
        return sum(bad for _, bad in last), sum(n for n, _ in last)

    def _settle(self, upto: int) -> None:
        if self.next is None:
            self.next = min((second for second in self.seconds if second < upto), default=upto)
        start = max(self.next, upto - STALE_S)
        self._run(self.settled, start, upto)
        for second in range(start, upto):
            if second in self.seconds:
                self.memory.count(second, *self.seconds[second])
        self.next = max(self.next, upto)
        for second in [second for second in self.seconds if second < min(upto, upto + LATE_S - KEPT_S)]:
            del self.seconds[second]

    def _run(self, fast: Fast, start: int, end: int) -> None:
        for second in range(start, end):
            n, bad = self.seconds.get(second, (0, 0))
            if bad or not fast.idle:
                fast.second(second, n, bad)
            else:
                fast.block_n = 0  # what is good before the first failure dilutes nothing


class Streams:
    """The streams of the objectives in force, by their number."""

    def __init__(self) -> None:
        self._streams: dict[int, Stream] = {}
        self._heard: list[Delta] = []

    def hear(self, deltas: Sequence[Delta], *, anew: bool = False) -> None:
        """Take the deltas counted since the last call; `anew`: all that there are, after another watch took over."""
        if anew:
            self._heard = []
            for number, stream in self._streams.items():
                self._streams[number] = Stream(stream.settled.tolerated, stream.for_next_watch())
        self._heard += [delta for delta in deltas if not delta.imported and not delta.excluded]

    def recall(self, number: int, tolerated: float, memory: Memory) -> None:
        """Go on from what the watch before this one remembered of an objective, unless its target has changed."""
        if memory.fast is None or memory.fast.tolerated == tolerated:
            self._streams[number] = Stream(tolerated, memory)

    def for_next_watch(self) -> dict[int, Memory]:
        """What the next watch goes on from, by the objectives' numbers."""
        return {number: stream.for_next_watch() for number, stream in self._streams.items()}

    def verdicts(self, objectives: Iterable[Objective], end: int) -> dict[int, Verdict]:
        """By the objectives' numbers; an objective that is not asked for any more is forgotten."""
        by_service: dict[str, list[Objective]] = {}
        kept: dict[int, Stream] = {}
        for objective in objectives:
            by_service.setdefault(objective.service, []).append(objective)
            kept[objective.id] = self._stream(objective)
        self._streams = kept
        for delta in self._heard:
            for objective in by_service.get(delta.series.service, ()):
                n, bad = counted(delta, objective)
                if n:
                    kept[objective.id].add(delta.second, n, bad)
        self._heard = []
        return {number: stream.verdict(end) for number, stream in kept.items()}

    def _stream(self, objective: Objective) -> Stream:
        """Its stream; a new test where the tolerated ratio has changed."""
        known, tolerated = self._streams.get(objective.id), float(objective.allowed)
        if known is None:
            return Stream(tolerated)
        return known if known.settled.tolerated == tolerated else Stream(tolerated, Memory(known.memory.minutes))


def counted(delta: Delta, objective: Objective) -> tuple[int, int]:
    """What a delta adds to an objective's total and bad; nothing where the threshold was not measured."""
    if objective.threshold_us is None:
        return delta.n, delta.bad
    fast = delta.fast.get(objective.threshold_us)
    return (0, 0) if fast is None else (delta.n - delta.bad, delta.n - delta.bad - fast)
