"""The incident room: how it stands, what it is about, what is done by whom, and what happened."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

from msgspec import Struct

from dashboard.alerts.list import AlertListed, newest, row
from dashboard.changes.page import LETTERS
from dashboard.config.page import read_config
from dashboard.incidents.done import DoneAct, counted, done_acts, receipts_of
from dashboard.incidents.offers import RATES, ActOffer, Situation, offers, undoing, with_previews
from dashboard.incidents.version_chart import VersionChart, versions_of
from dashboard.now.cards import Card, CardSuspect, cards
from dashboard.now.headline import refused
from dashboard.now.rows import service_rows
from dashboard.shared.failing import SUSPECTS
from dashboard.shared.live import Ask, LivePage, live_page
from dashboard.shared.memo import Memo, Memos
from dashboard.shared.signals import SignalShown, signals_shown
from dashboard.shared.since import since_asked
from server.alerts import silence_store
from server.alerts import store as alerts_store
from server.alerts.alert import Alert
from server.alerts.order import alert_order
from server.alerts.silence import Silence
from server.alerts.store import Reach
from server.changes import store as changes_store
from server.changes.store import Change
from server.changes.target import DeployFacts
from server.changes.targets import deploy_facts
from server.config.view import ConfigView
from server.http.failures import as_api_error
from server.incidents import measures_store, store, viewers_store
from server.incidents.acting import alerts_of, tally_of
from server.incidents.ending import ending_of
from server.incidents.incident import Incident, Role, Task
from server.incidents.proof import Proof, proof
from server.incidents.room import IncidentRoom, by_due
from server.incidents.runbook import StepAct
from server.incidents.similar import SimilarIncident, similar
from server.incidents.steps import StandingStep, able, standing
from server.incidents.store import ServiceAlerts
from server.incidents.suspect_answer import SuspectsAnswer, SuspectsQuestion
from server.incidents.timeline_store import Line, timeline
from server.incidents.words import public_update
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.kernel.ids import number_in
from server.parts import Parts
from server.picture.picture import Picture
from server.signals import store as signals_store
from server.signals.signal import Signal, SignalTally

PATIENCE_S = 3.0  # for the first reading: its forms are no live region
ALERTS_SHOWN = 20  # the worst; the others are counted by service
SIGNALS_SHOWN = 20  # those that fire first; the others are counted
CHARTS = ((900, 5), (3600, 60), (6 * 3600, 300))  # how far back, and the step
BEFORE_S = 300  # the least that is shown of before the onset
CHART_S = 900  # changes are marked from so long before it
LINES = 200  # on the page; the report has them all
ALIKE = 3  # so many machine lines of a kind in a row are one


class RoomRecord(Struct):
    """What is read from the database; `room` None: there is no such incident."""

    room: IncidentRoom | None
    alerts: list[Alert]
    silences: list[Silence]
    reach: Reach
    lines: list[Line]
    counts: list[ServiceAlerts]  # of all of its alerts
    looking: list[str]
    deploys: DeployFacts | None = None  # of the incident's service; None: it has none
    revisions: list[Change] = []  # that its acts have made, newest first
    signals: list[Signal] = []
    tally: SignalTally = SignalTally()
    changes: list[Change] = []  # of its service since CHART_S before the onset, newest first


class LineGroup(Struct):
    """Lines that stand together: one, or several alike by the machine."""

    lines: list[Line]

    @property
    def alike(self) -> bool:
        """Whether they are folded."""
        return len(self.lines) >= ALIKE


class RoomView(Struct):
    """The page. `room` None: it cannot be read just now. `cards`: the service while it burns, as on Now."""

    room: IncidentRoom | None
    alerts: list[AlertListed]
    proof: Proof | None
    groups: list[LineGroup]  # newest first
    cards: list[Card]
    refusals: dict[str, str]
    suspects: SuspectsAnswer | None  # of the alert that is shown first
    over_ms: float | None  # where that is of latency
    open_tasks: list[Task]
    done_tasks: list[Task]
    update: str  # what would be told outside
    brief: list[str]  # for the next commander
    steps: list[StandingStep]
    runbook_problem: str  # what is wrong with its file
    versions: VersionChart | None = None
    deploys: DeployFacts | None = None
    similar: list[SimilarIncident] = []
    looking: list[str] = []  # who has the room open
    lines_left_out: bool = False  # there are older ones
    more_alerts: list[ServiceAlerts] = []  # beside the worst
    offers: dict[StepAct, list[ActOffer]] = {}  # what can be done from here
    undoes: dict[str, ActOffer] = {}  # what undoes a suspect, by the numbers of its cause and its own
    done: list[DoneAct] = []  # what has been done from here, the newest first
    receipts: dict[str, DoneAct] = {}  # of what has undone a suspect, by the same numbers
    changes: list[Change] = []  # marks on the charts
    marks: dict[str, str] = {}  # their letters, by kind
    signals: list[SignalShown] = []
    signals_total: int = 0
    sends: bool = True  # False: its service is known by signals alone, and has no page

    @property
    def incident(self) -> Incident | None:
        """The incident itself."""
        return self.room.incident if self.room else None

    @property
    def commander(self) -> Role | None:
        """Who commands."""
        return self.room.holder("commander") if self.room else None

    @property
    def chart(self) -> tuple[int, int]:
        """How far back the charts reach from now, and their step; seconds, the finest that are kept for so long."""
        age = shared_clock.now() - self.room.incident.onset if self.room else 0.0
        return next((each for each in CHARTS if age + BEFORE_S <= each[0]), CHARTS[-1])

    @property
    def held(self) -> dict[str, Role]:
        """Who holds each role now."""
        return {role.role: role for role in self.room.roles if role.until is None} if self.room else {}

    @property
    def people(self) -> set[str]:
        """Who is in it: has it open, holds a role or has a task."""
        return {*self.looking, *(role.person for role in self.held.values()), *(one.owner for one in self.open_tasks)}

    @property
    def phases(self) -> dict[str, list[StandingStep]]:
        """The steps by phase, in order."""
        return {phase: list(steps) for phase, steps in groupby(self.steps, key=lambda step: step.phase)}

    @property
    def next_move(self) -> str:
        """The state that comes next; empty where it ends."""
        following = {"declared": "investigating", "investigating": "mitigating", "mitigating": "monitoring"}
        return following.get(self.room.incident.state, "") if self.room else ""

    @property
    def likely(self) -> CardSuspect | None:
        """What is suspected most, while it burns."""
        return self.cards[0].suspect if self.cards else None

    @property
    def undo(self) -> ActOffer | None:
        """What undoes the first suspect: the one filled button once somebody commands."""
        return self.undoes.get("1-1")

    @property
    def noticed(self) -> ActOffer | None:
        """What says that somebody looks."""
        return next(iter(self.offers.get("acknowledge", [])), None)

    @property
    def others(self) -> list[str]:
        """Who looks beside the commander."""
        return [one for one in self.looking if self.commander is None or one != self.commander.person]


async def read(parts: Parts, incident_id: int) -> RoomRecord:
    now = shared_clock.now()
    async with parts.db.act() as connection:
        room = await store.room(connection, incident_id)
        if room is None:
            return RoomRecord(None, [], [], Reach({}, None), [], [], [])
        alerts = sorted(await alerts_of(connection, room), key=alert_order)
        counts = await store.alert_counts(connection, incident_id)
        looking = await viewers_store.looking(connection, incident_id)
        return RoomRecord(
            room,
            alerts,
            await silence_store.active(connection, now),
            await alerts_store.reach(connection, [alert.id for alert in alerts[:ALERTS_SHOWN]]),
            await timeline(connection, room.incident, {one.service for one in counts}, now, LINES),
            counts,
            looking,
            await deploy_facts(connection, room.incident.service) if room.incident.service else None,
            await changes_store.revisions_of(connection, incident_id, room.incident.detected_at),
            await signals_store.of_incident(connection, incident_id, SIGNALS_SHOWN),
            await tally_of(parts, connection, incident_id, now),
            await changes_store.recent(connection, room.incident.onset - CHART_S, room.incident.service, limit=50),
        )


async def read_similar(parts: Parts, incident_id: int) -> list[SimilarIncident]:
    async with parts.db.act() as connection:
        incident = await store.one(connection, incident_id)
        return similar(incident, await measures_store.past(connection, incident)) if incident else []


async def is_known(parts: Parts, incident_id: int) -> bool:
    async with parts.db.act() as connection:
        return await store.one(connection, incident_id) is not None


KNOWN = Memos(is_known, kept_s=3600)  # none is ever taken away
CONFIG = Memo(read_config, kept_s=5)  # read anew each second: receipts arrive within it
SIMILAR = Memos(read_similar, kept_s=60)  # the past seldom changes
RECORDS = Memos(read, kept_s=5)  # read anew each second: an act is seen at once


def asked_id(ask: Ask) -> int:
    """The id in the address; 0, which no incident has, for what is none."""
    return number_in(ask.get("id")) or 0


async def there(parts: Parts, ask: Ask) -> None:
    """ApiError NOT_FOUND where there is no such incident; one that cannot be read just now may be there."""
    number = asked_id(ask)
    if await KNOWN.get(parts, number) is False:
        KNOWN.forget(number)  # it may be declared any moment
        raise ApiError("NOT_FOUND", f"There is no incident {ask.get('id')[:40]}. The page Incidents lists them.")


async def room_view(parts: Parts, ask: Ask, now: float) -> RoomView:
    """The room with the newest evidence."""
    record = await RECORDS.get(parts, asked_id(ask), now)
    if record is None or record.room is None:
        return RoomView(None, [], None, [], [], {}, None, None, [], [], "", [], [], "")
    live = {alert.id: alert for alert in parts.relay.alerts}
    alerts = [newest(a, live.get(a.id)) if a.state != "resolved" else a for a in record.alerts]
    titles = {objective.name: objective.title for objective in parts.policies.objectives}
    room, picture = record.room, parts.relay.picture
    found = proof(ending_of(room.incident, alerts, picture, record.tally), now)
    burning = [one for one in service_rows(picture) if one.name == room.incident.service]
    view = RoomView(
        room=room,
        alerts=[row(alert, record.silences, record.reach, titles) for alert in alerts[:ALERTS_SHOWN]],
        more_alerts=besides(record.counts, alerts[:ALERTS_SHOWN]),
        signals=signals_shown(record.signals, parts, now),
        signals_total=record.tally.total,
        sends=room.incident.source != "signal" or has_sent(picture, room.incident.service),
        proof=found,
        groups=grouped(record.lines),
        looking=record.looking,
        lines_left_out=len(record.lines) == LINES,
        cards=await cards(parts, burning, now),
        refusals={one.name: refused(one.service) for one in burning if one.service.partial},
        suspects=(suspects := await suspects_of(parts, alerts)),
        over_ms=alerts[0].evidence.threshold_ms if alerts else None,
        versions=await versions_of(parts, room.incident, suspects),
        open_tasks=sorted((task for task in room.tasks if task.done_at is None), key=by_due),
        done_tasks=[task for task in room.tasks if task.done_at is not None],
        update=public_update(room, alerts, found, now),
        brief=room.brief(now),
        steps=standing(await parts.runbook.current(), room, alerts, able(parts, alerts, record.deploys)),
        runbook_problem=parts.runbook.problem or "",
        deploys=record.deploys,
        changes=record.changes,
        marks=LETTERS,
        similar=await SIMILAR.get(parts, asked_id(ask), room.incident.cause_class) or [],
    )
    await add_acts(parts, view, record, alerts, now)
    return view


async def add_acts(parts: Parts, view: RoomView, record: RoomRecord, alerts: list[Alert], now: float) -> None:
    """What can be done from here, and what has been."""
    assert view.room is not None
    config: ConfigView | None = await CONFIG.get(parts, now)
    since = since_asked(alerts[0]) if alerts else None
    done = done_acts(record.revisions, view.room.deploys, config, record.changes)
    onsets = [view.room.incident.onset, *(alert.beginning.onset for alert in alerts)]
    view.done = await counted(parts, done, since, now, changes=record.changes, onsets=onsets)
    view.receipts = receipts_of(view.suspects, view.done)
    if view.room.incident.state == "closed":
        return
    rates = await RATES.get(parts) or []
    here = Situation(
        incident=view.room.incident,
        alerts=[alert for alert in alerts if alert.state != "resolved"],
        deploys=record.deploys,
        acted=view.room.deploys,
        config=config,
        limits=parts.settings.limits_for,
        rates=rates,
        keys={rate.key_id: parts.auth.key_name(rate.key_id) for rate in rates},
        made_here={int(one.version) for one in record.revisions},
    )
    shown: set[StepAct] = {act for step in view.steps if not step.over for act in step.acts}
    shown |= {"acknowledge", "roll_back_deploy", "roll_back_config", "pause_deploys", "silence"}  # beside steps too
    view.offers = await with_previews(parts, offers(here, shown))
    view.undoes = undoing(here, view.suspects)


def has_sent(picture: Picture | None, service: str) -> bool:
    """Whether the picture has a service."""
    return picture is not None and any(one.name == service for one in picture.services)


async def suspects_of(parts: Parts, alerts: list[Alert]) -> SuspectsAnswer | None:
    """What explains the alert that is shown first; None: there is none, or it is not known yet."""
    if not alerts:
        return None
    first = alerts[0]
    return await SUSPECTS.get(parts, SuspectsQuestion(first.service, first.began, first.evidence.threshold_ms))


def besides(counts: list[ServiceAlerts], shown: list[Alert]) -> list[ServiceAlerts]:
    """How many alerts there are of each service beside those that are shown."""
    total = Counter(alert.service for alert in shown)
    open_ = Counter(alert.service for alert in shown if alert.state != "resolved")
    left = [ServiceAlerts(c.service, c.open - open_[c.service], c.total - total[c.service]) for c in counts]
    return [one for one in left if one.total > 0]


async def looked(parts: Parts, ask: Ask, people: list[str]) -> None:
    """These have the room open here. Where the database is away nobody is told, and the room goes on."""
    try:
        async with parts.db.act() as connection:
            await viewers_store.seen(connection, asked_id(ask), people)
    except Exception as error:
        if as_api_error(error, 500).code != "UNAVAILABLE":
            raise


def grouped(lines: list[Line]) -> list[LineGroup]:
    """Lines of the machine of one kind that follow each other, together."""
    found: list[LineGroup] = []
    for key, alike in groupby(lines, key=lambda line: (line.origin, line.kind) if line.machine else line.id):
        together = list(alike)
        folded = isinstance(key, tuple) and len(together) >= ALIKE
        found += [LineGroup(together)] if folded else [LineGroup([line]) for line in together]
    return found


def room_title(view: RoomView) -> str:
    """The tab: `■ SEV-2 checkout failing`."""
    if view.incident is None:
        return "Incident · Evenkeel"
    mark = "■ " if view.incident.open else ""
    return f"{mark}{view.incident.heading} · Evenkeel"


ROOM = live_page(
    LivePage(
        name="incident",
        template="incident.html",
        context=room_view,
        regions={
            "room-head": "incident/head.html",
            "room-proof": "incident/proof.html",
            "room-done": "incident/done.html",
            "room-card": "now/cards.html",
            "room-versions": "incident/versions.html",
            "room-suspects": "alert/suspects.html",
            "room-marks": "incident/marks.html",
            "room-steps": "incident/steps.html",
            "room-deploys": "incident/deploys.html",
            "room-alerts": "incident/alerts.html",
            "room-signals": "incident/signals.html",
            "room-tasks": "incident/tasks.html",
            "room-roles": "incident/roles.html",
            "room-captured": "incident/captured.html",
            "room-similar": "incident/similar.html",
            "room-line": "incident/timeline.html",
        },
        args=("id",),
        require=there,
        looked=looked,
        wakes=("incidents", "alerts", "config", "receipt"),
        title="Incident · Evenkeel",
        titles=room_title,
    )
)
