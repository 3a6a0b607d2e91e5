"""What the doctor's report is, and how it is written: Markdown for people, JSON for programs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

from msgspec import Struct, field

from server.kernel.redaction import redact
from server.kernel.text import visible

Value = str | int | float | bool | None
Verdict = Literal["pass", "warn", "fail"]
KINDS_SHOWN = 20


class Section(Struct):
    """One part of the report: facts by name, rows of a table, and what is wrong (fails) or doubtful (warns)."""

    title: str
    facts: dict[str, Value] = field(default_factory=dict)
    rows: list[dict[str, Value]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)

    def without_secrets(self) -> Section:
        """The same with every secret taken out of every text."""
        return Section(
            self.title,
            clean(self.facts),
            [clean(row) for row in self.rows],
            [redact(one, named=False) for one in self.wrong],
            [redact(one, named=False) for one in self.doubtful],
        )


class DoctorReport(Struct):
    """All of it. `made_at` is RFC 3339."""

    made_at: str
    status: Verdict
    sections: list[Section]


def report_of(made_at: str, sections: Iterable[Section]) -> DoctorReport:
    """The report, without secrets; its status is the worst of its sections'."""
    cleaned = [section.without_secrets() for section in sections]
    fails, warns = any(one.wrong for one in cleaned), any(one.doubtful for one in cleaned)
    return DoctorReport(made_at, "fail" if fails else "warn" if warns else "pass", cleaned)


def clean(values: dict[str, Value]) -> dict[str, Value]:
    return {name: redact(value) if isinstance(value, str) else value for name, value in values.items()}


def as_markdown(report: DoctorReport) -> str:
    """The report as Markdown: what is wrong first, then every section."""
    lines = ["# Evenkeel doctor", "", f"{report.made_at}: {report.status}", ""]
    for section in report.sections:
        lines += [f"- **{word}** {section.title}: {one_line(text)}" for word, text in faults_in(section)]
    for section in report.sections:
        lines += ["", f"## {section.title}", ""]
        lines += [f"- {name}: {shown(value)}" for name, value in section.facts.items()]
        lines += table(section.rows)
    return "\n".join(lines)


def faults_in(section: Section) -> list[tuple[str, str]]:
    return [("fail", text) for text in section.wrong] + [("warn", text) for text in section.doubtful]


def table(rows: list[dict[str, Value]]) -> list[str]:
    """A Markdown table; its columns are the first row's."""
    if not rows:
        return []
    names = list(rows[0])
    lines = ["", f"| {' | '.join(names)} |", f"| {' | '.join('---' for _ in names)} |"]
    return lines + [f"| {' | '.join(shown(row.get(name)) for name in names)} |" for row in rows]


def shown(value: Value) -> str:
    """A value in a cell or after a colon; what is not known is a dash."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else one_line(value)


def one_line(text: str) -> str:
    return visible(" ".join(text.split())).replace("|", "\\|")


NAMED = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Timeout|Exit|Interrupt|[a-z]\.[A-Z]\w+))(?::|$)", re.MULTILINE)


def kind_of(trace: str) -> str:
    """The name of the exception that a traceback ends with, without what it says; empty where there is none."""
    found = NAMED.findall(trace)
    return found[-1] if found else ""


def by_kind(lines: Iterable[Any]) -> list[dict[str, Value]]:
    """Logged errors by where they come from and their kind: how often, and when last; the newest first."""
    kinds: dict[tuple[str, str, str], dict[str, Value]] = {}
    for line in lines:
        key = (line.level, line.logger, line.code or kind_of(line.trace))
        row = kinds.setdefault(key, {"level": key[0], "logger": key[1], "kind": key[2], "times": 0, "last": line.at})
        row["times"] = int(row["times"] or 0) + 1
    return list(kinds.values())[:KINDS_SHOWN]
