"""The first thing read: what is broken, how badly, for whom, and how long the budget lasts."""

from __future__ import annotations

from msgspec import Struct

from dashboard.now.rows import LiveRow, left_of
from dashboard.shared.format import FEW, budget, ms, number, percent, plural, share, span, target, window
from dashboard.shared.looks import LOOKS, Look
from dashboard.shared.rendering import segment
from server.kernel.names import OWN
from server.live.service import LiveService, ServicePart
from server.picture.picture import Picture
from server.slo.model import words
from server.slo.model.budget import LOW_BUDGET
from server.slo.model.status import ObjectiveStatus, Status
from server.slo.model.tiers import M5

ADD = "/objectives#add"


class HeadlineDetail(Struct):
    """One sentence, and where more is, named by `link`."""

    text: str
    href: str = ""
    link: str = ""


class Headline(Struct):
    """`look` None: nothing is known. `when`: what stands beside it in small, and changes."""

    look: Look | None
    text: str
    details: list[HeadlineDetail]
    when: str = ""


def headline(picture: Picture | None, rows: list[LiveRow]) -> Headline:
    """The worst state and who is in it, in one line; else how many objectives are met. Cards and rows have the rest."""
    if picture is None:
        return Headline(None, "No picture yet", [])
    rows = [row for row in rows if not row.drill]  # what fails on purpose is no trouble of production's
    troubled = [row for row in rows if row.troubled]
    if not troubled:
        return calm(picture.slo, rows)
    troubled.sort(key=lambda row: row.order)
    worst = troubled[0].look
    those = [row for row in troubled if row.look is worst]
    text = f"{worst.word}: {listed([row.name for row in those])}"
    when = those[0].waits_for.sure if len(those) == 1 and those[0].waits_for is not None else ""
    return Headline(worst, text, [of_version(row) for row in those if worst.state == "at_risk" and row.worse], when)


def of_version(row: LiveRow) -> HeadlineDetail:
    """`checkout: 12 of 458 fail since v2, 1 of 1,830 before.`"""
    assert row.worse is not None
    return HeadlineDetail(
        f"{row.name}: {row.worse.text}.", f"/services/{segment(row.name)}#service-versions", "Versions"
    )


def calm(status: Status | None, rows: list[LiveRow]) -> Headline:
    """Nothing is wrong: said only of what is known."""
    objectives = [one for one in status.objectives if not one.drill] if status else []
    ok = sum(objective.state == "ok" for objective in objectives)
    unheld = [row.name for row in rows if row.look.state == "no_objective"]
    details = [HeadlineDetail(f"No objective: {listed(unheld)}.", href=ADD, link="How to add one")] if unheld else []
    if not any(row.name != OWN for row in rows):
        return Headline(LOOKS["no_traffic"], "Waiting for the first outcome", [])
    if not objectives:
        return Headline(LOOKS["no_objective"], "No objectives", details)
    if ok == 0:
        return Headline(LOOKS["no_traffic"], "No traffic", details)
    idle = len(objectives) - ok
    if idle:
        details.insert(0, HeadlineDetail(f"{plural(idle, 'objective')} without traffic."))
        return Headline(LOOKS["ok"], f"{plural(ok, 'objective')} OK", details)
    return Headline(LOOKS["ok"], f"All {ok} objectives OK" if ok > 1 else "1 objective OK", details)


def describe(row: LiveRow) -> str:
    """How badly, for whom, and what is left."""
    if row.look.state == "blind":
        return blind(row)
    if row.look.state == "partial":
        return refused(row.service)
    if row.look.state == "recovering":
        return " ".join(left(o) for o in row.hit[:1] if o.budget_left is not None)  # what it waits for says the rest
    hit = row.hit
    failed = [o for o in hit if o.kind == "availability"]
    sentences = [f"{row.worse.text}, on the same routes."] if row.worse else []
    sentences += [failing(row) + still(row, failed)] if row.bad or failed or not hit else []
    sentences += [slow(o) for o in hit if o.kind == "latency"]
    tightest = min(hit, key=left_of, default=row.tightest)
    if tightest is not None and tightest.budget_left is not None and (by_budget(row) or not row.worse):
        sentences.append(left(tightest))
    return " ".join(sentences)


def by_budget(row: LiveRow) -> bool:
    """Whether its budget says something of its state: it burns, or little is left."""
    return row.look.state != "at_risk" or min(map(left_of, row.objectives), default=1.0) < LOW_BUDGET


def left(objective: ObjectiveStatus) -> str:
    """`Budget left 31 %, gone in 5 h 10 min.`"""
    gone = objective.exhausted_in_s
    text = budget(objective.budget_left, objective.budget_worst, objective.budget_best)
    if too_little(objective):
        return "Too little traffic to judge the budget."
    most = objective.budget_left if objective.budget_best is None else objective.budget_best
    if most is not None and most < 0:
        return f"Budget left {text}, overspent."
    return f"Budget left {text}, gone in {span(gone)}." if gone is not None else f"Budget left {text}."


def too_little(objective: ObjectiveStatus) -> bool:
    """Whether there is too little traffic to judge what is left."""
    return words.too_little(objective.budget_left, judged=objective.judged)


def failing(row: LiveRow) -> str:
    """`4.1 % of 312 requests/min fail, all POST /checkout, version 5f2c1a9.`"""
    service = row.service
    if service.n == 0:
        return "No request was accepted in the last minute." if service.partial else "No requests in the last minute."
    if service.bad == 0 and row.troubled and service.clean_s is not None and service.n_since_bad:
        return f"None of the last {service.n_since_bad:,} requests failed; last failure {span(service.clean_s)} ago."
    if service.bad == 0 and not service.partial:
        return f"None of {service.n:,} requests/min fail."
    named = [named_share(service.worst_route, service.bad), named_share(service.worst_version, service.bad, "version ")]
    ratio = row.ratio if service.partial else percent(service.bad / service.n)
    parts = [f"{ratio} of {service.n + service.refused_items:,} requests/min fail", *filter(None, named)]
    return ", ".join(parts) + "."


def named_share(part: ServicePart | None, bad: int, what: str = "") -> str:
    """`all POST /checkout`, `12 of 13 POST /checkout`, or of many `92 % of them …`; nothing where it is not most."""
    if part is None or not part.name or part.bad * 2 <= bad:
        return ""
    if part.bad >= bad:
        return f"{'' if what else 'all '}{what}{part.name}"
    return f"{share(part.bad, bad)}{'' if bad < FEW else ' of them'} {what}{part.name}"


def still(row: LiveRow, failed: list[ObjectiveStatus]) -> str:
    """` The 1 h burn rate is still 186x, that of 5 min 32x.`, where nothing fails any more and a window still burns."""
    burning = next((o for o in failed if o.decided_by), None)
    if row.bad or burning is None:
        return ""
    burns = {each.window_s: each.burn for each in burning.windows}
    long, short = ((window(span_s), f"{number(burns.get(span_s))}x") for span_s in burning.decided_by)
    return f" The {long[0]} burn rate is still {long[1]}, that of {short[0]} {short[1]}."


def slow(objective: ObjectiveStatus) -> str:
    """`14 of 830 requests in the last hour over 300 ms; the objective is 99 % under it.` Of the window that decides."""
    counted = {each.window_s: each for each in objective.windows}
    deciding = counted.get(objective.decided_by[0]) if objective.decided_by else None
    if deciding is None and objective.state == "burning":
        deciding = counted.get(M5)  # the fast test alone: what 28 days counted says nothing of now
    bad, total, span_s = objective.bad, objective.good + objective.bad, objective.window_days * 86_400
    if deciding is not None:
        bad, total, span_s = deciding.bad, deciding.total, deciding.window_s
    last = "hour" if span_s == 3600 else window(span_s)
    text = f"{bad:,} of {total:,} requests in the last {last} over {ms(objective.threshold_ms)}"
    newest = counted.get(M5)
    if newest is not None and newest.total and not newest.bad:
        text += f", none of {newest.total:,} in the last {window(M5)}"
    return f"{text}; the objective is {target(objective.target)} under it."


def blind(row: LiveRow) -> str:
    """`Silent for 42 s (usually 5.2/s). Budget 12-31 %.`"""
    usual = row.service.usual_per_second
    text = f"Silent for {span(row.silent_s)}" + (f" (usually {number(usual)}/s)." if usual else ".")
    if row.silent_s is None:
        text = lost(row.service)
    if row.tightest is None or (row.tightest.budget_left is None and row.tightest.budget_worst is None):
        return text
    o = row.tightest
    return f"{text} Budget {budget(o.budget_left, o.budget_worst, o.budget_best)}."


def lost(service: LiveService) -> str:
    """`Its platform lost 491 log lines in the last minute: failures may be among them.`"""
    lines = plural(service.lost_items, "log line")
    return f"Its platform lost {lines} in the last minute: failures may be among them."


def refused(service: LiveService) -> str:
    """`41 % of checkout's items are refused by a limit (THROTTLED), most from ci-loadgen. Its ratios are ranges.`"""
    offered = service.accepted_items + service.refused_items
    text = share(service.refused_items, offered)
    whose = f"{service.name}'" if service.name.endswith("s") else f"{service.name}'s"
    text += f" items of {service.name}" if offered < FEW else f" of {whose} items"
    by = f" ({service.refused_by})" if service.refused_by else ""
    most = f", most from {service.refused_key}" if service.refused_key else ""
    return f"{text} are refused by a limit{by}{most}. Its ratios are ranges."


def listed(names: list[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
