"""The report of an incident, as it is known at any moment: what happened, how long it took, and what follows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from server.alerts.alert import Alert
from server.incidents.incident import Incident, IncidentState, PreventiveAction, Role
from server.incidents.measures import times_of
from server.incidents.moves import WORDS
from server.incidents.room import IncidentRoom
from server.incidents.timeline_store import Line
from server.kernel.text import NONE, iso, percent, plain, span
from server.kernel.times import Instant, utc

RECOVER = "time to recover"


class Measured(Struct):
    """One time of the incident in seconds, null where it is not so far, and what it was taken from."""

    name: str
    seconds: float | None
    provenance: str


class ObjectiveSpent(Struct):
    """What the incident cost an objective: `bad` of `total` requests since the onset, `spent` of the whole budget."""

    objective: str
    service: str
    bad: int
    total: int
    spent: float


class ServiceFailed(Struct):
    """How many of a service's requests failed from the onset to the end of the failure, or until now."""

    service: str
    bad: int
    total: int


class ReportedLine(Struct):
    """One line of the timeline; `link` '' for none."""

    at: Instant
    kind: str
    text: str
    author: str
    machine: bool
    link: str


class ReportedAction(Struct):
    """What is to be done so that it does not happen again."""

    title: str
    owner: str
    priority: int
    due_at: Instant
    link: str
    done_at: Instant | None


class IncidentReport(Struct):
    """The whole report. In a `public` one there are no names, no machine lines and no internals."""

    id: int
    title: str
    severity: int
    state: IncidentState
    service: str
    drill: bool
    public: bool
    made_at: Instant
    onset: Instant
    onset_method: str
    onset_estimated: Instant
    over_at: Instant | None
    measures: list[Measured]
    failed: list[ServiceFailed]  # of each service in it, its own first
    spent: list[ObjectiveSpent]
    seen: str
    likely: str
    root_cause: str
    cause_class: str
    went_well: str
    people: list[str]
    actions: list[ReportedAction]
    timeline: list[ReportedLine]  # oldest first


def report_of(
    room: IncidentRoom,
    alerts: Sequence[Alert],
    failed: list[ServiceFailed],
    lines: Iterable[Line],
    now: float,
    *,
    public: bool,
) -> IncidentReport:
    """The report as of `now`, Unix seconds. `lines` are the newest first."""
    incident = room.incident
    shown = [line for line in lines if not public or (line.kind == "update" and not line.machine)]
    return IncidentReport(
        id=incident.id,
        title=incident.title,
        severity=incident.severity,
        state=incident.state,
        service=incident.service,
        drill=incident.drill,
        public=public,
        made_at=utc(now),
        onset=utc(incident.onset),
        onset_method=incident.onset_method,
        onset_estimated=utc(incident.captured.onset),
        over_at=None if incident.over_at is None else utc(incident.over_at),
        measures=measures(incident),
        failed=[] if public else failed,
        spent=[] if public else [spent(alert) for alert in alerts],
        seen=incident.captured.text,
        likely="" if public else incident.captured.likely,
        root_cause=incident.root_cause,
        cause_class=incident.cause_class,
        went_well="" if public else incident.went_well,
        people=[] if public else [person(role) for role in room.roles],
        actions=[] if public else [reported(action) for action in room.actions],
        timeline=[line_of(line, public) for line in reversed(shown)],
    )


def measures(incident: Incident) -> list[Measured]:
    """Each time with what it is taken from."""
    methods = {"change point": "the fast test's estimate", "window": "the beginning of a window"}
    methods |= {"person": "a person", "signal": "as told by a signal"}
    onset = f"the onset ({methods[incident.onset_method]})"
    end = "as signals told" if incident.source == "signal" else "by live data"
    times = times_of(incident)
    return [
        Measured("time to detect", times.detect, f"from {onset} to the detection"),
        Measured("time to acknowledge", times.acknowledge, f"from {onset} to when a person declared it"),
        Measured("time to mitigate", times.mitigate, f"from {onset} to when the first mitigation took effect"),
        Measured(RECOVER, times.recover, f"from {onset} to the end of the failure, {end}"),
    ]


def spent(alert: Alert) -> ObjectiveSpent:
    """What an alert says of the cost."""
    seen = alert.evidence
    return ObjectiveSpent(alert.objective, alert.service, seen.bad, seen.total, seen.spent)


def person(role: Role) -> str:
    """`commander: mira@example.com, 03:04:40 to 03:20:11`."""
    until = "" if role.until is None else f" to {utc(role.until):%H:%M:%S}"
    return f"{role.role}: {role.person}, {utc(role.since):%H:%M:%S}{until}"


def reported(action: PreventiveAction) -> ReportedAction:
    """A preventive action with RFC 3339 times."""
    done = None if action.done_at is None else utc(action.done_at)
    return ReportedAction(action.title, action.owner, action.priority, utc(action.due_at), action.link, done)


def line_of(line: Line, public: bool) -> ReportedLine:
    """A line of the timeline; outside nobody is named."""
    author, link = ("", "") if public else (line.author, line.link)
    return ReportedLine(utc(line.at), line.kind, line.text, author, line.machine, link)


def markdown(report: IncidentReport) -> str:
    """The report as Markdown. What people have written of cause and lessons is Markdown; all else is text."""
    return "\n".join(markdown_lines(report)) + "\n"


def markdown_lines(report: IncidentReport) -> Iterator[str]:
    yield f"# {plain(heading(report))}"
    yield ""
    where = f" of {plain(report.service)}" if report.service else ""
    yield f"{WORDS[report.state]}. Incident {report.id}{where}, made {iso(report.made_at)}. Times are UTC."
    yield from ("", f"Onset {iso(report.onset)}{corrected(report)}.")
    if report.over_at is not None:
        after = span((report.over_at - report.onset).total_seconds())
        yield f"Over {iso(report.over_at)}, after {after}{'' if resolved(report) else ', not resolved yet'}."
    yield from section("Impact", impact(report))
    yield from section("Times", [time_line(one, report) for one in report.measures])
    yield from section(f"Root cause ({report.cause_class})", quoted(report.root_cause) or ["Not known yet."])
    if not report.public:
        yield from section("What went well", quoted(report.went_well) or [NONE])
        yield from section("Preventive actions", [action_line(one) for one in report.actions] or ["None."])
        yield from section("People", [f"- {plain(one)}" for one in report.people] or ["Nobody."])
    title = "Updates" if report.public else "Timeline"
    yield from section(title, [timeline_line(one) for one in report.timeline] or ["None."])


def resolved(report: IncidentReport) -> bool:
    """Whether a person has said that it is over."""
    return report.state in ("resolved", "closed")


def time_line(one: Measured, report: IncidentReport) -> str:
    """`- time to detect: 52 s, from ...`; what is measured only once somebody resolves it says so until then."""
    awaited = one.name == RECOVER and one.seconds is None and not resolved(report)
    return f"- {one.name}: {'not resolved yet' if awaited else span(one.seconds)}, {one.provenance}"


def heading(report: IncidentReport) -> str:
    """`SEV-2 checkout failing`, with DRILL before it where it is one."""
    return f"{'DRILL ' if report.drill else ''}SEV-{report.severity} {report.title}"


def quoted(text: str) -> list[str]:
    """What a person has written, as Markdown that can be no part of the report around it."""
    return [f"> {line}" for line in text.splitlines()]


def section(title: str, lines: Iterable[str]) -> Iterator[str]:
    """A heading and its lines."""
    yield from ("", f"## {title}", "")
    yield from lines


def corrected(report: IncidentReport) -> str:
    """What was estimated, where a person has put it right."""
    if report.onset == report.onset_estimated:
        return ""
    return f" (estimated {iso(report.onset_estimated)}, corrected by a person)"


def impact(report: IncidentReport) -> list[str]:
    """What failed, and what it cost."""
    lines = [f"- {plain(report.seen)}"] if report.seen else []
    lines += [
        f"- {plain(one.service)}: {one.bad:,} of {one.total:,} requests failed since the onset" for one in report.failed
    ]
    lines += [f"- {plain(one.objective)}: {percent(one.spent)} of the whole budget spent" for one in report.spent]
    lines += [f"- likely: {plain(report.likely)}"] if report.likely else []
    return lines or ["Not measured."]


def action_line(one: ReportedAction) -> str:
    """`- [ ] P0 jon, until 2026-12-24: test it`."""
    link = f" {plain(one.link)}" if one.link else ""
    who = f"P{one.priority} {plain(one.owner)}, until {one.due_at:%Y-%m-%d}"
    return f"- [{'x' if one.done_at else ' '}] {who}: {plain(one.title)}{link}"


def timeline_line(one: ReportedLine) -> str:
    """`- 03:04:40 Declared by mira. (mira)`."""
    who = "" if one.machine or not one.author else f" ({plain(one.author)})"
    link = f" {plain(one.link)}" if one.link else ""
    return f"- {one.at:%Y-%m-%d %H:%M:%S} {plain(one.text)}{who}{link}"
