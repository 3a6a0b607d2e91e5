"""Which form a log has: decided once, over its first lines, and told in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import partial
from typing import Protocol

from server.receivers.access_log.entry import LoggedRequest, Read, request_of
from server.receivers.access_log.form import Sense
from server.receivers.access_log.format_string import compiled
from server.receivers.access_log.known import FORMS, fresh
from server.receivers.access_log.latency import LogAsk, decide
from server.receivers.access_log.layout import layout_of
from server.receivers.access_log.line import LineForm, Shape, shape_of
from server.receivers.access_log.pattern import PatternForm
from server.receivers.access_log.records import METHODS, STARTS, STATUSES, TAKEN, TIMES, RecordForm, has, known_in
from server.receivers.access_log.taken import UNITLESS
from server.receivers.access_log.w3c import FIELDS, W3CForm

SAMPLE = 2_000  # lines
KNOWN_BY = 300  # of them
INVERSION_US = 1_500_000  # times are told to the second
HALF = 0.5
LOGFMT = "name=value pairs (logfmt)"


class LogReader(Protocol):
    """Reads the lines of one log, in their order."""

    def read(self, line: str) -> tuple[Read, ...]: ...

    def rest(self) -> Iterator[Read]:
        """What is known only at the end."""
        ...


class LogForm(Protocol):
    """How the lines of a log are read."""

    name: str
    sense: Sense

    def reader(self) -> LogReader: ...


@dataclass(slots=True)
class Detected:
    """The form of a log. `took` says which field is the time taken, `hint` why none is and how to name one."""

    form: LogForm
    took: str = ""
    hint: str = ""


def detect(lines: Sequence[str], asked: LogAsk, zone: tzinfo = UTC) -> Detected:
    """The form of a log by its first lines, or as asked for. ValueError: what was asked for is not in it."""
    lines = [line for line in lines if line.strip()]
    if asked.format and asked.format.lower() in NAMES:
        found = NAMES[asked.format.lower()](lines, asked)
    elif asked.format:
        found = by_format(lines, asked, asked.format)
    else:
        found = by_header(lines, asked) or by_records(lines, asked) or by_server(lines, asked) or by_line(lines, asked)
    found.form.sense.zone = zone
    if asked.starts is not None:
        found.form.sense.starts = asked.starts
    return found


def by_format(lines: Sequence[str], asked: LogAsk, text: str) -> Detected:
    """As the server's format string says."""
    form = compiled(text, asked.unit)
    matches = [match for line in lines if (match := form.pattern.fullmatch(line))]
    form.sense.versioned = versioned(match.groupdict().get("request") for match in matches)
    if not form.sure:
        judge_stamp(form, lines)
    if not form.took:
        return Detected(form, hint="its format has no time taken")
    return Detected(form, f"{form.took}, in {form.sense.unit}")


def by_header(lines: Sequence[str], asked: LogAsk) -> Detected | None:
    """W3C extended, where the log says so itself."""
    header = next((line for line in lines if line.startswith(FIELDS)), None)
    if header is None:
        return None
    form = W3CForm(given_unit=asked.unit)
    if "time-taken" not in header.split():
        return Detected(form, hint="its #Fields line names no time-taken")
    return Detected(form, "time-taken")


def by_records(lines: Sequence[str], asked: LogAsk) -> Detected | None:
    """JSON or logfmt, where more lines are that than anything else that tells of requests."""
    for form in (RecordForm(), RecordForm(LOGFMT, logfmt=True)):
        records = [record for line in lines if (record := form.record(line))]
        telling = [record for record in records if has(record, STATUSES)]
        if form.logfmt:
            telling = [record for record in telling if has(record, METHODS)]
        if telling and len(telling) >= plain(lines) * HALF:
            form.sample = lines
            return named_in(telling, form, asked)
    return None


def named_in(records: Sequence[dict[str, str]], form: RecordForm, asked: LogAsk) -> Detected:
    """Which key is the time taken, and whether the time of a record is the start."""
    form.sense.starts = sum(not has(one, TIMES[: -len(STARTS)]) and has(one, STARTS) for one in records) > 0
    if asked.time is not None:
        form.key = asked.time.lower()
        if not any(form.key in record for record in records):
            raise ValueError(f"no record of the first {len(records)} has {asked.time}")
        form.sense.unit = asked.unit or dict(TAKEN).get(form.key)
        return Detected(form, f"{asked.time}, in {form.sense.unit or 'the unit it says'}")
    known = next((one for record in records if (one := known_in(record))), None)
    if known is not None:
        form.name = f"{form.name}, of {known.server}"
    candidates = [(known.key, known.unit)] if known else [pair for pair in TAKEN if has_any(records, pair[0])]
    if candidates:
        form.key, form.sense.unit = candidates[0][0], asked.unit or candidates[0][1]
        return Detected(form, f"{form.key}, in {form.sense.unit or 'the unit it says'}")
    unitless = next((key for key in sorted(UNITLESS) if key not in TIMES and has_any(records, key)), None)
    if unitless is None:
        return Detected(form, hint="no key of it says how long a request took")
    return Detected(form, hint=f"{unitless} says no unit: --time {unitless} --unit s|ms|us does")


def has_any(records: Iterable[dict[str, str]], key: str) -> bool:
    return any(key in record for record in records)


def by_server(lines: Sequence[str], asked: LogAsk) -> Detected | None:
    """A server whose lines no other writes."""
    if asked.time is not None:
        return None
    sample = lines[:KNOWN_BY]
    counts = [(sum(form.pattern.fullmatch(line) is not None for line in sample), form) for form in FORMS]
    most, known = max(counts, key=lambda pair: pair[0])
    if not most or most < plain(sample) * HALF:
        return None
    return as_server(known, lines, asked)


def plain(lines: Sequence[str]) -> int:
    """How many lines are one request each, as Apache writes it; a server says other things too, as it starts."""
    return sum(isinstance(shape_of(line), Shape) for line in lines)


def by_line(lines: Sequence[str], asked: LogAsk) -> Detected:
    """One request a line, with what its tail says."""
    shapes = [shape for line in lines if isinstance(shape := shape_of(line), Shape)]
    form = LineForm()
    form.sense.versioned = versioned(shape.request for shape in shapes)
    decided = decide([shape for shape in shapes if request_of(shape.request)], asked)
    form.takes, form.sense.unit = decided.takes, decided.unit
    form.layout = layout_of(lines, form.takes)
    if decided.took and not decided.ends:
        judge_stamp(form, lines)
    return Detected(form, decided.took, decided.hint)


def as_records(lines: Sequence[str], asked: LogAsk, form: RecordForm) -> Detected:
    """As records, whatever else the lines may be."""
    form.sample = lines
    return named_in([record for line in lines if (record := form.record(line))], form, asked)


def as_server(known: PatternForm, _: Sequence[str], asked: LogAsk) -> Detected:
    """As a server writes that is known by its lines."""
    form = fresh(known)
    form.sense.unit = asked.unit or form.sense.unit
    return Detected(form, f"{form.took}, in {form.sense.unit or 'the unit it says'}")


def versioned(requests: Iterable[str | None]) -> bool:
    """Whether request lines end in a version, as most of them do."""
    whole = [found for one in requests if one is not None and (found := request_of(one))]
    return sum(bool(found.version) for found in whole) * 2 > len(whole)


def judge_stamp(form: LineForm | PatternForm, lines: Sequence[str]) -> None:
    """Whether the time of a line is the start: lines are written when requests end, so ends are in order.

    Where the order does not tell, what the form supposes stays.
    """
    form_starts, form.sense.starts = form.sense.starts, False
    reader = form.reader()
    entries = [read for line in lines for read in reader.read(line) if isinstance(read, LoggedRequest)]
    form.sense.starts = form_starts
    as_ends = inversions(entry.at for entry in entries)
    as_starts = inversions(entry.at + (entry.duration_us or 0) for entry in entries)
    if as_ends != as_starts:
        form.sense.starts = as_starts < as_ends


def inversions(times: Iterable[int]) -> int:
    """How often a time is clearly before one that stands above it."""
    count, latest = 0, 0
    for at in times:
        count += at < latest - INVERSION_US
        latest = max(latest, at)
    return count


def named_forms() -> dict[str, Callable[[Sequence[str], LogAsk], Detected]]:
    """How a log is read whose form is given by the name of its server, or of the form."""
    found: dict[str, Callable[[Sequence[str], LogAsk], Detected]] = {}
    for form in FORMS:
        found.setdefault(form.name.lower().removeprefix("aws "), partial(as_server, form))
    for name in ("httplog", "httpslog", "clf"):
        found[name] = found["haproxy"]
    for name in ("json", "caddy", "pino", "fastify"):
        found[name] = lambda lines, asked: as_records(lines, asked, RecordForm())
    found["logfmt"] = lambda lines, asked: as_records(lines, asked, RecordForm(LOGFMT, logfmt=True))
    for name in ("combined", "common", "combinedio", "nginx", "apache", "morgan", "gunicorn", "tomcat", "lighttpd"):
        found[name] = by_line
    return found


NAMES = named_forms()


def format_fault(text: str, unit: str | None) -> str:
    """What is wrong with a name or format string that is asked for; '' where nothing is."""
    try:
        if text.lower() not in NAMES:
            compiled(text, unit)
    except ValueError as error:
        return str(error)
    return ""
