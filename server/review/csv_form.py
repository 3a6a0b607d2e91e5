"""The monthly report as CSV: one table, one record a line, columns that a record does not have left empty.

A cell of text that a spreadsheet would take for a formula begins with an apostrophe.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime

from msgspec.structs import asdict

from server.kernel.text import iso
from server.review.monthly import MonthlyReport

COLUMNS = (
    *("record", "service", "month", "objective", "from", "to"),
    *("text", "target", "provisional", "total", "bad", "excluded", "bad_ratio", "left_out_total", "left_out_bad"),
    *("month_budget_spent", "month_budget_spent_without_exclusions"),
    *("rolling_budget_left", "rolling_budget_left_without_exclusions", "exact_since", "recounting"),
    *("share", "changed_before", "changed_at"),
    *(
        "id",
        "outage",
        "severity",
        "urgency",
        "state",
        "onset",
        "onset_method",
        "detected_at",
        "acknowledged_at",
        "acknowledged_by",
        "resolved_at",
    ),
    *("time_to_detect_s", "time_to_acknowledge_s", "time_to_resolve_s"),
    *("kind", "changes", "route", "version", "method", "reason", "author", "created_at", "revoked_at", "revoked_by"),
)
FORMULA = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")  # the last four are the first four, wide
Cells = dict[str, object]


def as_csv(report: MonthlyReport) -> str:
    """The whole report."""
    out = io.StringIO()
    table = csv.DictWriter(out, COLUMNS, restval="", extrasaction="ignore")
    table.writeheader()
    common: Cells = {"service": report.service, "month": report.month, "from": report.start, "to": report.stop}
    for record in records(report):
        table.writerow({name: cell(value) for name, value in (common | record).items()})
    return out.getvalue()


def records(report: MonthlyReport) -> Iterator[Cells]:
    """Every line, as what it has beside what all have; its own times outrank those of the report. What is no column
    is left out by the writer."""
    for held in report.objectives:
        yield {"record": "objective", "objective": held.name} | asdict(held)
    for one in report.worst:
        yield {"record": "stretch", "from": one.start, "to": one.end} | asdict(one)
    for alert in report.alerts:
        yield {"record": "alert", "from": alert.onset, "to": alert.resolved_at} | asdict(alert)
    for kind, changes in report.changes.items():
        yield {"record": "change", "kind": kind, "changes": changes}
    for out in report.exclusions:
        yield {"record": "exclusion", "from": out.start, "to": out.stop} | asdict(out)


def cell(value: object) -> object:
    """A value as a cell: ISO times in UTC, plain numbers, true and false, text that is no formula, nothing for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    return value
