"""The monthly report's address."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.kernel import shared_clock
from server.review.csv_form import as_csv
from server.review.markdown import markdown
from server.review.monthly import MonthlyReport
from server.review.reading import monthly

UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class ReportQuery(msgspec.Struct):
    """`format`: json, markdown (text/markdown) or csv (text/csv, as a file to keep)."""

    format: Literal["json", "markdown", "csv"] = "json"


class ReportHandler(ApiHandler):
    """/api/v1/reports/{service}/{month}"""

    @operation(
        "What a UTC calendar month came to for a service: objectives, what spent most, alerts, changes, exclusions",
        scope="read",
        query=ReportQuery,
        returns=MonthlyReport,
        errors=("NOT_FOUND",),
    )
    async def get(self, service: str, month: str) -> None:
        asked = self.query(ReportQuery)
        async with self.parts.db.ask() as connection:
            report = await monthly(connection, self.parts.policies, service, month, shared_clock.now())
        if asked.format == "json":
            self.reply(report)
        elif asked.format == "markdown":
            self.text("text/markdown", markdown(report))
        else:
            self.set_header("Content-Disposition", f'attachment; filename="{file_name(report)}.csv"')
            self.text("text/csv", as_csv(report))

    def text(self, media: str, body: str) -> None:
        """Answer with text."""
        self.set_header("Content-Type", f"{media}; charset=utf-8")
        self.write(body)


def file_name(report: MonthlyReport) -> str:
    """`checkout-2026-11`, of letters that no system takes for anything else."""
    return f"{UNSAFE.sub('-', report.service)[:100].strip('.-') or 'service'}-{report.month}"


ROUTES: tuple[Route, ...] = (Route("/api/v1/reports/{service}/{month}", ReportHandler),)
