"""The monthly report as Markdown. Every name in it is somebody else's text: nothing of it is markup here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from server.kernel.text import iso, percent, plain, span
from server.kernel.times import Instant
from server.review.monthly import AlertMonth, ExclusionMonth, MonthlyReport, ObjectiveMonth, WorstStretch


def markdown(report: MonthlyReport) -> str:
    """The whole report."""
    return "\n".join(lines(report)) + "\n"


def lines(report: MonthlyReport) -> Iterator[str]:
    yield f"# {plain(report.service)}, {report.month}{'' if report.complete else ' so far'}"
    yield ""
    made = f"made {iso(report.made_at)}. Policy revision {report.policy_revision}. Times are UTC."
    yield f"{iso(report.start)} to {iso(report.stop)}, {made}"
    yield from section("Objectives", OBJECTIVES, [objective(one, report.start) for one in report.objectives])
    yield "The month's budget is what the month's own traffic allowed to fail: it begins anew each month. The rolling "
    yield "budget is of the objective's own window, which ends with this report."
    yield from section("What spent most", WORST, [stretch(one) for one in report.worst])
    yield from section("Alerts", ALERTS, [alert(one) for one in report.alerts])
    yield from section("Changes", ("Kind", "Changes"), [(kind, f"{n:,}") for kind, n in report.changes.items()])
    yield from section("Exclusions", EXCLUSIONS, [exclusion(one) for one in report.exclusions])


OBJECTIVES = (
    "Objective",
    "Held to",
    "Counted",
    "Failed",
    "Month's budget spent",
    "without exclusions",
    "Rolling budget left",
    "without exclusions",
    "Exact since",
)
WORST = ("From", "For", "Objective", "Failed", "Of the month's budget", "Changed just before")
ALERTS = ("Alert", "Objective", "Detected", "To detect", "To acknowledge", "To resolve")
EXCLUSIONS = ("From", "To", "Of", "Reason", "By", "Revoked")


def section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A heading and a table, or `None.` without rows. Cells are Markdown already."""
    yield from ("", f"## {title}", "")
    if not rows:
        yield "None."
        return
    yield row(head)
    yield row(["---"] * len(head))
    yield from map(row, rows)
    yield ""


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def objective(one: ObjectiveMonth, start: Instant) -> tuple[str, ...]:
    since = "all of it" if one.exact(start) else iso(one.exact_since)
    return (
        plain(one.name) + (" (provisional)" if one.provisional else ""),
        plain(one.text),
        f"{one.total:,}",
        f"{one.bad:,}",
        percent(one.month_budget_spent),
        percent(one.month_budget_spent_without_exclusions),
        percent(one.rolling_budget_left),
        percent(one.rolling_budget_left_without_exclusions),
        since + (", being recounted" if one.recounting else ""),
    )


def stretch(one: WorstStretch) -> tuple[str, ...]:
    return (
        iso(one.start),
        span((one.end - one.start).total_seconds()),
        plain(one.objective),
        f"{one.bad:,} of {one.total:,}",
        percent(one.share),
        plain(one.changed_before) if one.changed_before else "nothing recorded",
    )


def alert(one: AlertMonth) -> tuple[str, ...]:
    return (
        f"{one.id}, SEV-{one.severity}",
        plain(one.objective),
        iso(one.detected_at),
        span(one.time_to_detect_s),
        span(one.time_to_acknowledge_s),
        span(one.time_to_resolve_s) if one.resolved_at else plain(one.state),
    )


def exclusion(one: ExclusionMonth) -> tuple[str, ...]:
    revoked = f"{iso(one.revoked_at)} by {plain(one.revoked_by)}" if one.revoked_at else "no"
    return iso(one.start), iso(one.stop), plain(one.what), plain(one.reason), plain(one.author), revoked
