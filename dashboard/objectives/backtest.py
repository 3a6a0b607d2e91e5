"""Backtest: the alerts that a policy text would have made, before it is saved."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from dashboard.shared.page import Page
from server.alerts.backtesting import Backtested, gaps, run, summary
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.parts import Parts
from server.selfcheck.findings import Finding
from server.slo.model.objective import PolicyError
from server.slo.policy.lint import lint
from server.slo.policy.policy import parse

LIMIT_S = 15.0  # of work; objectives that are not reached are named
SHOWN = 200  # alerts
ALONE = asyncio.Semaphore(1)  # one at a time in a process: the event loop shares the processor with it


class BacktestView(Struct):
    """The form, and what came of it. `found` None: nothing was run."""

    text: str
    faults: list[str]
    odd: list[Finding]
    found: Backtested | None
    summary: str
    gaps: list[str]
    may: bool
    slo_file: str
    shown: int = SHOWN


class BacktestPage(Page):
    """GET shows the form; POST runs it and stores nothing."""

    async def get(self) -> None:
        await self.show_view("")

    async def post(self) -> None:
        await self.show_view(given(self), ran=True)

    async def show_view(self, text: str, *, ran: bool = False) -> None:
        """The page; a policy that cannot be used is shown with its faults."""
        may = self.identity is not None and "act" in self.identity.scopes
        view = BacktestView(text, [], [], None, "", [], may, str(self.parts.env.slo_file.name))
        if ran:
            await fill(self.parts, view)
        self.set_status(422 if view.faults else 200)
        self.show("objectives/backtest.html", view, title="Backtest", page="objectives")


def given(page: Page) -> str:
    """The uploaded file where there is one, else the field, as text."""
    uploaded = page.request.files.get("file", [])
    if uploaded and uploaded[0].body:
        return uploaded[0].body.decode(errors="replace")
    return page.get_body_argument("policy", "", strip=False).replace("\r\n", "\n")


async def fill(parts: Parts, view: BacktestView) -> None:
    """Read the policy, and run it where it can be used."""
    try:
        policy = await asyncio.to_thread(parse, view.text, "policy")
    except PolicyError as error:
        view.faults = error.lines()
        return
    if ALONE.locked():
        raise ApiError("UNAVAILABLE", "Another backtest runs. Nothing was run: send it again.", retry_after=5)
    async with ALONE:
        view.odd = lint(policy)
        view.found = await run(parts.db, policy, shared_clock.now(), LIMIT_S)
    view.summary, view.gaps = summary(view.found), gaps(view.found)
