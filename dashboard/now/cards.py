"""A burning service as one card of figures: what fails, for whom, since when, what changed before, and one act."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from dashboard.config.page import CONFIG
from dashboard.now.burn_chart import BurnChart, ChartSpan, Value, latency_chart, ratio_chart
from dashboard.now.headline import named_share, too_little
from dashboard.now.rows import LiveRow, left_of
from dashboard.shared.failing import FAILING, SUSPECTS, mostly
from dashboard.shared.format import budget, ms, number, percent, span, window
from dashboard.shared.memo import Memos
from dashboard.shared.since import SINCE
from dashboard.shared.since import Asked as SinceAsked
from dashboard.shared.telling import AlertLine
from server.alerts.alert import Alert
from server.changes import store as changes
from server.changes.before import may_cause
from server.changes.store import Change
from server.config.differences import Offer
from server.config.view import ConfigView
from server.incidents.suspect_answer import SuspectsAnswer, SuspectsQuestion
from server.kernel import shared_clock
from server.live import questions
from server.live.answers import Metric, SeriesAnswer, SummaryRow
from server.live.outcomes import FailingRequests
from server.parts import Parts
from server.slo.model.since_act import SinceAct
from server.slo.model.status import ObjectiveStatus

CARDS = 6  # with a chart each; who burns beyond them is a row
BEFORE_S = 15 * 60  # what it is compared with, and where its chart begins
NEAR_S = 15 * 60  # a change before the onset is a suspect for so long
AFTER_S = 30  # and one so soon after it: an onset is estimated, and a version is first seen by its first failure
AT_S = 5
FINE_S = 890  # kept by the second
CAUSES = ("deploy", "revision", "environment", "scale", "flag")
FINE_POINTS = 180
COARSE_POINTS = 120
LINE = 90  # characters of the line under a name


class Figure(Struct):
    """One of four: `Failing`, `41 %`, and what stands beneath it."""

    title: str
    value: str
    beneath: list[str]
    at: float | None = None  # Unix seconds: when the budget is gone
    objective: ObjectiveStatus | None = None  # whose bar stands beneath


class CardSuspect(Struct):
    """What was changed before the onset, or what the failures share."""

    text: str
    near: str = ""  # `40 s before onset`
    change: Change | None = None
    proof: str = ""  # `12 of 458 fail since v2, 1 of 1,830 before`


class Symptom(Struct):
    """A service that fails because this one does."""

    row: LiveRow
    alert: AlertLine


class Card(Struct):
    """One service that burns or recovers."""

    row: LiveRow
    where: str  # POST /charges · all versions
    figures: list[Figure]
    chart: BurnChart | None  # None: not read yet, or the database does not answer
    suspect: CardSuspect | None
    changed: list[str] | None  # what was changed near the onset, the nearest first; None: not read yet
    symptoms: list[Symptom]
    offer: Offer | None  # of the settings, where their revision is the suspect
    since: SinceAct | None  # the newest act after the onset
    acknowledge: Alert | None  # the alert that nobody has acknowledged yet


class CardHistory(Struct):
    """What was read of a service: before the onset, since then, and step by step."""

    before: SummaryRow
    since: SummaryRow
    quarter: SummaryRow  # the last 15 minutes
    start: float
    end: float
    values: list[Value]
    changes: list[Change]  # newest first


Asked = tuple[str, int, Metric]  # service, the second of the onset, and what burns


async def read_past(parts: Parts, asked: Asked) -> CardHistory:
    """The service from 15 minutes before its onset, in one snapshot; the last 15 minutes finer than what is older."""
    service, onset, metric = asked
    now = shared_clock.now()
    start, fine = onset - BEFORE_S, max(onset - BEFORE_S, int(now) - FINE_S)
    async with parts.db.ask() as connection:
        values: list[Value] = []
        for begin, end, points in ((start, fine, COARSE_POINTS), (fine, now, FINE_POINTS)):
            if begin < end:
                step = max(5, int(end - begin) // points)
                read = await questions.series(connection, service, metric, begin, end, step_s=step, now=now)
                values += whole_steps(read, end)
        return CardHistory(
            before=await questions.between(connection, service, start, onset, now),
            since=await questions.between(connection, service, onset, now + 1, now),
            quarter=await questions.between(connection, service, now - BEFORE_S, now + 1, now),
            start=start,
            end=now,
            values=values,
            changes=await changes.recent(connection, start, service),
        )


def whole_steps(read: SeriesAnswer, end: float) -> list[Value]:
    """The steps that are over at `end`: of one that has only begun, two requests would make the line's newest point."""
    return [(at, one.value) for one in read.points if (at := one.at.timestamp()) + read.step <= end]


PAST = Memos(read_past, kept_s=3)


async def cards(parts: Parts, rows: list[LiveRow], now: float) -> list[Card]:
    """A card for each service that burns or recovers, worst first; its symptoms stand on it, not beside it."""
    burning = [row for row in rows if row.pages]
    names = {row.name for row in burning}
    leading = [row for row in burning if row.cause not in names][:CARDS]
    config = await CONFIG.get(parts, parts.settings.revision)
    pasts = await asyncio.gather(*(PAST.get(parts, asked(row, now)) for row in leading))
    fail = await asyncio.gather(*(FAILING.get(parts, (row.name, row.over_ms)) for row in leading))
    acts = await asyncio.gather(*(SINCE.get(parts, since_asked(row, now)) for row in leading))
    ranked = await asyncio.gather(*(ranked_of(parts, row) for row in leading))
    made = (
        card(row, past, failing_, [each for each in burning if each.cause == row.name], config, now, ranked=found)
        for row, past, failing_, found in zip(leading, pasts, fail, ranked, strict=True)
    )
    return [replace(one, since=since) for one, since in zip(made, acts, strict=True)]


async def ranked_of(parts: Parts, row: LiveRow) -> SuspectsAnswer | None:
    """What explains its failures, as its room ranks them; None: no alert, or it is not known yet."""
    if not row.alerts:
        return None
    first = row.alerts[0]
    return await SUSPECTS.get(parts, SuspectsQuestion(first.service, first.began, first.evidence.threshold_ms))


def suspected(found: SuspectsAnswer | None, guessed: CardSuspect | None) -> CardSuspect | None:
    """The first suspect of the ranking: `deploy v2, route /pay`; None where that tells of none."""
    if found is None or not found.causes:
        return None
    first = found.causes[0].suspects[0]
    brought = first.change
    named = [f"{brought.kind} {brought.version}"] if brought else []
    named += [
        f"{field.replace('_', ' ')} {value}"
        for field, value in first.values.items()
        if not (brought and field in ("version", "revision"))
    ]
    change = guessed.change if guessed else None
    return CardSuspect(
        ", ".join(named),
        near(brought.before_s) if brought else "",
        change if change and brought and change.id == brought.id else None,
        f"{percent(first.share)} of the extra failures, {first.now.bad:,} of {first.now.n:,} fail,"
        f" {first.before.bad:,} of {first.before.n:,} before",
    )


def since_asked(row: LiveRow, now: float) -> SinceAsked:
    """What is counted since an act: what fails, or of a service that is only slow what is over its threshold."""
    return row.name, onset_of(row, now), None if row.over_ms is None else round(row.over_ms * 1000)


def asked(row: LiveRow, now: float) -> Asked:
    return row.name, int(onset_of(row, now)), "latency" if row.slow else "error_ratio"


def onset_of(row: LiveRow, now: float) -> float:
    return now if row.since is None else row.since


def card(  # noqa: PLR0917 - everything that a card shows
    row: LiveRow,
    past: CardHistory | None,
    requests: FailingRequests | None,
    symptoms: Iterable[LiveRow],
    config: ConfigView | None,
    now: float,
    *,
    ranked: SuspectsAnswer | None = None,
) -> Card:
    onset = onset_of(row, now)
    guessed = suspect_of(row, past.changes if past else [], onset)
    suspect = suspected(ranked, guessed) or guessed
    return Card(
        row=row,
        where=where(row, requests),
        figures=[failing(row, past), latency(row, past), traffic(row, past), left(row, now)],
        chart=None if past is None else chart_of(row, past, onset),
        suspect=suspect,
        changed=None if past is None else changed_near(past.changes, onset),
        symptoms=[Symptom(each, each.alert) for each in symptoms if each.alert],
        offer=offer_for(suspect, config),
        since=None,
        acknowledge=next((alert for alert in row.alerts if alert.acknowledged_at is None), None),
    )


def chart_of(row: LiveRow, past: CardHistory, onset: float) -> BurnChart:
    """The error ratio; of what is only slow, the p95."""
    span = ChartSpan(past.start, past.end, onset, row.waits_for.since if row.waits_for else None)
    if row.slow:
        return latency_chart(past.values, span, row.over_ms, past.changes)
    allowed = min((1 - o.target for o in row.hit if o.kind == "availability"), default=None)
    return ratio_chart(past.values, span, allowed, past.changes)


def where(row: LiveRow, requests: FailingRequests | None = None) -> str:
    """`POST /charges · all versions`: the route and the version with most of what fails, of what is slow those that
    are; and the dependency, where most name one. At most 60 characters."""
    service = row.service
    if row.slow:
        route, version = slow_route(row, requests), mostly(requests, "version")
        version = f"version {version}" if version and len(service.versions) > 1 else ""
    else:
        several = len(service.versions) > 1 or row.version is not None  # now, or before its newest
        worst = service.worst_version if several else None
        route = named_share(service.worst_route, service.bad).removeprefix("all ") or mostly(requests, "route")
        version = named_share(worst, service.bad, "version ")
    dependency = mostly(requests, "dependency")
    parts = [route or "all routes", f"dependency {dependency}" if dependency else "", version or "all versions"]
    text = " · ".join(filter(None, parts))
    return text if len(text) <= LINE - 30 else f"{text[: LINE - 31]}…"


def slow_route(row: LiveRow, requests: FailingRequests | None) -> str:
    """The route that is slow: as the alert says, else that of most slow requests."""
    said = (alert.evidence.slowness for alert in row.alerts if alert.evidence.slowness is not None)
    return next((one.route for one in said if one.route), "") or mostly(requests, "route")


def failing(row: LiveRow, past: CardHistory | None) -> Figure:
    """What fails of the last minute, and of 15; of a service that is only slow, what is over its threshold."""
    if row.slow:
        return over_threshold(row)
    refused = row.service.refused_items
    last = f"{row.bad:,} of {row.n:,} in the last minute"
    if refused:
        last += f", {refused:,} refused"
    value = row.ratio if refused else percent(row.bad / row.n) if row.n else "–"
    beneath = [last]
    if past is not None and past.quarter.volume:
        ratio, quarter = past.quarter.bad / past.quarter.volume, past.quarter
        beneath.append(f"{percent(ratio)} in 15 min, {quarter.bad:,} of {quarter.volume:,}")
    return Figure("Failing", value, beneath)


def over_threshold(row: LiveRow) -> Figure:
    """What takes longer than it may: of the last minute, and of 5 minutes."""
    slow = next(o for o in row.hit if o.kind == "latency")
    windows = [slow.minute, *slow.windows] if slow.minute is not None else slow.windows
    counted = [each for each in windows if each.total][:2]
    return Figure(
        f"Over {ms(slow.threshold_ms)}",
        percent(counted[0].bad / counted[0].total) if counted else "–",
        [f"{one.bad:,} of {one.total:,} in {words(one.window_s)}" for one in counted],
    )


def words(window_s: int) -> str:
    return "the last minute" if window_s == 60 else window(window_s)


def latency(row: LiveRow, past: CardHistory | None) -> Figure:
    before = None if past is None else past.before.p95_ms
    return Figure("p95", ms(row.p95_ms), ["nothing to compare" if before is None else f"{ms(before)} before"])


def traffic(row: LiveRow, past: CardHistory | None) -> Figure:
    """A service that has begun to send meanwhile is compared with the time since then."""
    began = next((at for at, value in past.values if value is not None), None) if past else None
    if past is None or began is None or not past.before.volume:
        return Figure("Requests/s", row.rate, ["none before"])
    before = past.before.volume / max(1.0, past.start + BEFORE_S - began)
    return Figure("Requests/s", row.rate, [f"{number(before)} before"])


def left(row: LiveRow, now: float) -> Figure:
    """What is left of the tightest budget, and when it is gone at the present rate."""
    o = min(row.hit, key=left_of, default=row.tightest)
    if o is None or (o.budget_left is None and o.budget_worst is None):
        return Figure("Budget left", "–", ["no objective" if o is None else "not counted yet"])
    if too_little(o):
        return Figure("Budget left", "–", ["too little traffic to judge"])
    value = budget(o.budget_left, o.budget_worst, o.budget_best)
    most = o.budget_left if o.budget_best is None else o.budget_best
    if most is not None and most < 0:
        return Figure("Budget left", value, ["overspent"], objective=o)
    if o.exhausted_in_s is None:
        return Figure("Budget left", value, [], objective=o)
    return Figure("Budget left", value, [f"gone in {span(o.exhausted_in_s)}"], now + o.exhausted_in_s, o)


def suspect_of(row: LiveRow, recent: Iterable[Change], onset: float) -> CardSuspect | None:
    """The change before the onset that nothing speaks against, a deploy first, the nearest.

    What outcomes say of versions outranks what was told of a deploy: where one surely fails more, it is the suspect.
    """
    before = [one for one in recent if one.kind in CAUSES and is_near(one, onset)]
    likely = next((alert.evidence.likely for alert in row.alerts if alert.evidence.likely), "")
    if likely:
        able = [one for one in before if one.kind == "deploy" and likely == f"version {one.version}"]
    else:
        able = [one for one in before if not cleared(one, row)]
    nearest = max(able, key=lambda one: (one.kind == "deploy", one.at), default=None)
    if nearest is None:
        return CardSuspect(likely, proof=row.worse.text if row.worse else "") if likely else None
    proof = row.worse.text if row.worse and row.worse.version == nearest.version else ""
    return CardSuspect(named(nearest), near(onset - nearest.at.timestamp()), nearest, proof)


def is_near(change: Change, onset: float) -> bool:
    """Whether a change came so shortly before an onset that it may have caused it."""
    return -AFTER_S <= onset - change.at.timestamp() <= NEAR_S


def cleared(change: Change, row: LiveRow) -> bool:
    """Whether what is counted speaks against a change: a limit that refuses nothing, and a version that fails no more
    than those that run beside it."""
    if change.kind == "revision":
        return not row.service.refused_items
    mine = next((one for one in row.service.versions if one.name and one.name == change.version), None)
    if change.kind != "deploy" or mine is None:
        return False
    n, bad = row.service.n - mine.n, row.service.bad - mine.bad
    return mine.n > 0 and n > 0 and mine.bad * n <= bad * mine.n


def changed_near(recent: Iterable[Change], onset: float) -> list[str]:
    """`deploy v2, 40 s before onset`, the nearest first, of all that altered what runs."""
    found = sorted(
        (one for one in recent if is_near(one, onset) and may_cause(one)),
        key=lambda one: abs(onset - one.at.timestamp()),
    )
    return [f"{named(one)}, {near(onset - one.at.timestamp())}" for one in found]


def named(change: Change) -> str:
    """`deploy v2`; of what has no version, its kind."""
    return f"{change.kind} {change.version}".strip()


def near(before_s: float) -> str:
    """`40 s before onset`, `at onset`."""
    if abs(before_s) <= AT_S:
        return "at onset"
    return f"{span(abs(round(before_s)))} {'before' if before_s > 0 else 'after'} onset"


def offer_for(suspect: CardSuspect | None, config: ConfigView | None) -> Offer | None:
    """One click back, where what is suspected is the revision that is in force."""
    if suspect is None or suspect.change is None or suspect.change.kind != "revision" or config is None:
        return None
    found = config.rollback
    return found if found is not None and str(found.from_) == suspect.change.version else None
