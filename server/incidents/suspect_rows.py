"""From what is kept to what suspects are ranked from: which outcomes are read, and what each of them stands for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from server.incidents.suspects import Combination, Compared, Minute, Row, Values, matching

# The first four that differ make the cells; what is nested in them comes after.
FIELDS = ("route", "version", "client", "instance", "dependency", "method", "key", "revision")
MARKS = ("dependency", "error_class", "status")
OF_OUTCOMES = ("client", "instance", "dependency")  # kept of each outcome, not counted

FAILED_MOST, GOOD_MOST = 2000, 1500  # outcomes that are read while it fails
BEFORE_MOST = 500  # failed ones of the time before; good ones as many as while it fails
SERIES_LEAST = 3  # of each series, however little traffic it has
PARTS = 5  # of its time, from which outcomes are read


class SeriesLabels(NamedTuple):
    """What a series is counted by; `key` is the name of the key that brought it, '' where none is known."""

    id: int
    version: str
    route: str
    method: str
    status: int
    key: str


class SeriesMinute(NamedTuple):
    """What a series counted in a minute, whose start is in Unix seconds; `bad` are the slow ones where those count."""

    series: int
    at: int
    n: int
    bad: int


class Sampled(NamedTuple):
    """One outcome; `at` in Unix seconds. What was not said is ''."""

    series: int
    at: float
    request_id: str
    client: str
    instance: str
    dependency: str
    error_class: str
    weight: int = 1  # requests that it stands for


NO_MARKS = ("",) * len(MARKS)
UNREAD = Sampled(0, 0.0, "", "", "", "", "")


class Drawn(NamedTuple):
    """How many outcomes are read of which series, from when to when: Unix seconds, [from, to)."""

    series: int
    start: float
    stop: float
    most: int


class Material(NamedTuple):
    """Everything that was read. Times are Unix seconds."""

    start: int  # from when it fails
    stop: int
    before: int  # from when on it is compared
    quiet: int  # and until when: an onset may lie in the minute before that of most failures
    labels: Mapping[int, SeriesLabels]
    counts: Sequence[SeriesMinute]
    failed: Sequence[Sampled]
    good: Sequence[Sampled]
    revision: str  # that came into force about when it began to fail; '' for none
    slow: bool  # what took too long is what fails


class Example(NamedTuple):
    """A failing request."""

    row: Row
    at: float
    request_id: str


class Prepared(NamedTuple):
    """What is ranked, the names of its places, and the failing requests that were read, newest first."""

    compared: Compared
    names: tuple[str, ...]
    examples: list[Example]

    def named(self, combination: Combination) -> dict[str, str]:
        """The values of a combination by field."""
        return {self.names[place]: value for place, value in combination}

    def requests(self, combination: Combination) -> list[str]:
        """Two failing requests of a combination, the newest."""
        its = matching([one.row for one in self.examples], combination)
        return [one.request_id for one, yes in zip(self.examples, its, strict=True) if yes][:2]


def by_minute(counts: Iterable[SeriesMinute]) -> list[Minute]:
    """A service's minutes, in the order of time."""
    summed: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for one in counts:
        n, bad = summed[one.at]
        summed[one.at] = (n + one.n, bad + one.bad)
    return [Minute(at, *summed[at]) for at in sorted(summed)]


def by_series(counts: Iterable[SeriesMinute], start: float, stop: float) -> dict[int, tuple[int, int]]:
    """Requests and failures of each series in [start, stop)."""
    summed: dict[int, tuple[int, int]] = {}
    for one in counts:
        if start <= one.at < stop:
            n, bad = summed.get(one.series, (0, 0))
            summed[one.series] = (n + one.n, bad + one.bad)
    return summed


def drawn(counts: Iterable[SeriesMinute], start: float, stop: float, most: int, *, bad: bool) -> list[Drawn]:
    """Which outcomes to read of [start, stop), about `most`: of each series by its share, spread over the time."""
    wanted = {id: failed if bad else n - failed for id, (n, failed) in by_series(counts, start, stop).items()}
    whole = sum(wanted.values())
    found = []
    for series, n in wanted.items():
        quota = max(SERIES_LEAST, most * n // max(whole, most))
        parts = 1 if n <= quota else PARTS
        step = (stop - start) / parts
        each = -(-min(n, quota) // parts)
        found += [Drawn(series, start + at * step, start + (at + 1) * step, each) for at in range(parts) if n > 0]
    return found


def prepare(read: Material) -> Prepared:
    """Rows of now and of before, with the fields that differ and that good requests say too."""
    now = list(parts_of(read, read.start, read.stop, read.revision))
    before = list(parts_of(read, read.before, read.quiet, ""))
    every = now + before
    comparable = [place for place, name in enumerate(FIELDS) if name not in OF_OUTCOMES or said_by_good(every, place)]
    kept = [place for place in comparable if len({part.values[place] for part in every}) > 1]
    marked = FIELDS.index("dependency") not in comparable
    compared = Compared([row_of(part, kept, marked) for part in now], [row_of(part, kept, marked) for part in before])
    examples = [
        Example(row, part.outcome.at, part.outcome.request_id)
        for part, row in zip(now, compared.now, strict=True)
        if part.fails and part.outcome is not UNREAD
    ]
    examples.sort(key=lambda one: -one.at)
    return Prepared(compared, tuple(FIELDS[place] for place in kept) + MARKS, examples)


class SampledPart(NamedTuple):
    """`n` requests of a series that all failed or all did not; the values in the order of FIELDS."""

    values: Values
    n: float
    fails: bool
    outcome: Sampled
    status: str


def row_of(part: SampledPart, kept: Sequence[int], marked: bool) -> Row:
    """What is ranked of a part; `marked`: its dependency is what only failures say."""
    values = tuple(part.values[place] for place in kept)
    if not part.fails:
        return Row(values, part.n, 0.0, NO_MARKS)
    dependency = part.outcome.dependency if marked else ""
    return Row(values, part.n, part.n, (dependency, part.outcome.error_class, part.status))


def parts_of(read: Material, start: float, stop: float, revision: str) -> Iterator[SampledPart]:
    """Each series' good and failed requests of a time, told apart as those are that were read of them."""
    good, failed = grouped(read.good, start, stop), grouped(read.failed, start, stop)
    for series, (n, bad) in by_series(read.counts, start, stop).items():
        label = read.labels[series]
        status = "" if read.slow else str(label.status)
        for outcomes, count, fails in ((good.get(series, ()), n - bad, False), (failed.get(series, ()), bad, True)):
            for one, share in shares(outcomes, count):
                yield SampledPart(values_of(label, one, revision), share, fails, one, status)


def shares(outcomes: Sequence[Sampled], count: int) -> list[tuple[Sampled, float]]:
    """What each outcome that was read stands for; where none was, one stands for all of which nothing more is known."""
    read = outcomes or [UNREAD]
    whole = sum(one.weight for one in read)
    return [(one, count * one.weight / whole) for one in read] if count > 0 else []


def values_of(label: SeriesLabels, one: Sampled, revision: str) -> Values:
    """In the order of FIELDS."""
    of_outcome = (one.client, one.instance, one.dependency)
    return (label.route, label.version, *of_outcome, label.method, label.key, revision)


def grouped(outcomes: Iterable[Sampled], start: float, stop: float) -> dict[int, list[Sampled]]:
    found: dict[int, list[Sampled]] = defaultdict(list)
    for one in outcomes:
        if start <= one.at < stop:
            found[one.series].append(one)
    return found


def said_by_good(parts: Iterable[SampledPart], place: int) -> bool:
    """Whether good requests say a field at least half as often as failed ones: else it has no traffic to compare."""
    n, said = {True: 0.0, False: 0.0}, {True: 0.0, False: 0.0}
    for part in parts:
        n[part.fails] += part.n
        said[part.fails] += part.n * bool(part.values[place])
    return said[False] * n[True] * 2 >= said[True] * n[False]
