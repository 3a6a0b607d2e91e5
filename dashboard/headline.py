"""The first thing read: what is broken, how badly, for whom, and how long the budget lasts."""

from __future__ import annotations

from msgspec import Struct

from dashboard.format import FEW, budget, ms, number, percent, plural, share, span, target
from dashboard.looks import LOOKS, Look
from dashboard.rows import Row
from server.live.picture import Part, ServicePicture
from server.slo.status import ObjectiveStatus, Status

DETAILS = 3  # services told of in a sentence


class Detail(Struct):
    """One sentence or two. `look` is set where the state is another one than the headline's."""

    text: str
    look: Look | None = None
    service: str = ""
    since: float | None = None  # Unix seconds


class Headline(Struct):
    """`look` None: nothing is known."""

    look: Look | None
    text: str
    details: list[Detail]


def headline(known: bool, status: Status | None, rows: list[Row]) -> Headline:
    """The worst state and who is in it; else how many objectives are met."""
    if not known:
        return Headline(None, "No picture yet", [])
    troubled = [row for row in rows if row.troubled]
    if not troubled:
        return calm(status, rows)
    worst = min(troubled, key=lambda row: row.look.rank).look
    names = [row.name for row in troubled if row.look is worst]
    alone = len(names) == 1
    details = [
        Detail(
            describe(row),
            None if row.look is worst else row.look,
            "" if alone and row.look is worst else row.name,
            row.since,
        )
        for row in sorted(troubled, key=lambda row: row.look.rank)[:DETAILS]
    ]
    return Headline(worst, f"{worst.word}: {listed(names)}", details)


def calm(status: Status | None, rows: list[Row]) -> Headline:
    """Nothing is wrong: said only of what is known."""
    objectives = status.objectives if status else []
    ok = sum(objective.state == "ok" for objective in objectives)
    unheld = [row.name for row in rows if row.look.state == "no_objective"]
    details = [Detail(f"No objective: {listed(unheld)}.")] if unheld else []
    if not objectives:
        return Headline(LOOKS["no_objective"], "No objectives", details)
    if ok == 0:
        return Headline(LOOKS["no_traffic"], "No traffic", details)
    idle = len(objectives) - ok
    if idle:
        details.insert(0, Detail(f"{plural(idle, 'objective')} without traffic."))
        return Headline(LOOKS["ok"], f"{plural(ok, 'objective')} OK", details)
    return Headline(LOOKS["ok"], f"All {ok} objectives OK" if ok > 1 else "1 objective OK", details)


def describe(row: Row) -> str:
    """How badly, for whom, and what is left."""
    if row.look.state == "blind":
        return blind(row)
    if row.look.state == "partial":
        return refused(row.service)
    hit = row.hit
    sentences = [failing(row.service)] if row.bad or not hit else []
    sentences += [slow(row, o) for o in hit if o.kind == "latency"]
    if not sentences:
        sentences = [failing(row.service)]
    tightest = min(hit, key=lambda o: 1.0 if o.budget_left is None else o.budget_left, default=row.tightest)
    if tightest is not None and tightest.budget_left is not None:
        sentences.append(left(tightest))
    return " ".join(sentences)


def left(objective: ObjectiveStatus) -> str:
    """`Budget left 31 %, gone in 5 h 10 min.`"""
    gone = objective.exhausted_in_s
    told = budget(objective.budget_left, objective.budget_worst, objective.budget_best)
    if objective.budget_left is not None and objective.budget_left <= 0:
        return "Budget gone."
    return f"Budget left {told}, gone in {span(gone)}." if gone is not None else f"Budget left {told}."


def failing(service: ServicePicture) -> str:
    """`4.1 % of 312 requests/min fail, all POST /checkout, version 5f2c1a9.`"""
    if service.n == 0:
        return "No requests in the last minute."
    if service.bad == 0:
        return f"None of {service.n:,} requests/min fail."
    named = [named_share(service.worst_route, service.bad), named_share(service.worst_version, service.bad, "version ")]
    parts = [f"{percent(service.bad / service.n)} of {service.n:,} requests/min fail", *filter(None, named)]
    return ", ".join(parts) + "."


def named_share(part: Part | None, bad: int, what: str = "") -> str:
    """`all POST /checkout`, or `92 % of them POST /checkout`; nothing where it is not most."""
    if part is None or not part.name or part.bad * 2 < bad:
        return ""
    if part.bad >= bad:
        return f"{'' if what else 'all '}{what}{part.name}"
    return f"{percent(part.bad / bad)} of them {what}{part.name}"


def slow(row: Row, objective: ObjectiveStatus) -> str:
    """`p95 528 ms; the objective is 99 % under 300 ms.`"""
    return f"p95 {ms(row.p95_ms)}; the objective is {target(objective.target)} under {ms(objective.threshold_ms)}."


def blind(row: Row) -> str:
    """`Silent for 42 s (usually 5.2/s). Budget 12-31 %.`"""
    usual = row.service.usual_per_second
    told = f"Silent for {span(row.silent_s)}" + (f" (usually {number(usual)}/s)." if usual else ".")
    if row.tightest is None or (row.tightest.budget_left is None and row.tightest.budget_worst is None):
        return told
    o = row.tightest
    return f"{told} Budget {budget(o.budget_left, o.budget_worst, o.budget_best)}."


def refused(service: ServicePicture) -> str:
    """`41 % of its items are refused by a limit (THROTTLED), most from ci-loadgen. Ratios are ranges.`"""
    offered = service.accepted_items + service.refused_items
    told = share(service.refused_items, offered) + (" items" if offered < FEW else " of its items")
    by = f" ({service.refused_by})" if service.refused_by else ""
    most = f", most from {service.refused_key}" if service.refused_key else ""
    return f"{told} are refused by a limit{by}{most}. Its ratios are ranges."


def listed(names: list[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
