"""Setup: the self-checks, the keys, the people and their sessions, and where alerts go."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from dashboard.now.side import CHECKS
from dashboard.setup.keys import has_ended
from dashboard.shared.live import Ask, LivePage, live_page
from dashboard.shared.memo import Memo
from dashboard.shared.page import Page
from server.auth.audit_store import Act, recent_acts
from server.auth.identity import ROLES, SCOPES
from server.auth.passwords import SHORTEST
from server.auth.people_store import Person, Session, list_people, list_sessions
from server.auth.store import ApiKey, list_keys
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.kernel.names import OWN
from server.notify.acts import TargetView, list_targets
from server.notify.kind import Kind
from server.notify.kinds import KINDS, kind_of
from server.notify.steps import STEPS
from server.parts import Parts
from server.selfcheck import forecast_store
from server.selfcheck import store as check_store
from server.selfcheck.findings import CheckResult
from server.selfcheck.forecast import Forecast

HISTORY = 200
ACTS = 20
WORST_FIRST = {"fail": 0, "warn": 1, "pass": 2}


class ChecksView(Struct):
    """The newest result of each check, worst first; None: they cannot be read just now."""

    running: list[CheckResult] | None
    files: list[CheckResult]  # of Evenkeel's own


class AuditLine(Struct):
    """An act, and its values before and after as one line of JSON each; empty where there are none."""

    act: Act
    before: str
    after: str


class TargetDraft(Struct):
    """The form of a new target, as typed but for its secret, and what is wrong with it, in which field."""

    name: str = ""
    kind: str = ""
    address: str = ""
    step: str = "1"
    fault: str = ""
    field: str = ""


class SetupView(Struct):
    """What is not live: for administrators all keys, people, sessions and acts; for others their own sessions."""

    in_use: list[ApiKey]
    own: list[ApiKey]  # short-lived ones that our own checks made
    ended: list[ApiKey]  # revoked or expired
    people: list[Person]
    sessions: list[Session]
    session_id: int  # the one that is looking
    acts: list[AuditLine]  # the newest
    targets: list[TargetView]
    draft: TargetDraft
    storage: Forecast | None  # None: it cannot be read just now
    public_url: str
    missing: dict[str, str]  # of each kind of target: what is missing before one can be added, empty: nothing
    kinds: tuple[Kind, ...] = tuple(KINDS.values())
    roles: tuple[str, ...] = tuple(ROLES)
    scopes: tuple[str, ...] = SCOPES
    shortest: int = SHORTEST
    steps: int = STEPS

    def kind_of(self, name: str) -> Kind:
        """The kind of a target."""
        return kind_of(name)


class HistoryView(Struct):
    """The results of one check, newest first."""

    name: str
    results: list[CheckResult]
    kept_days: int = check_store.KEPT_DAYS


async def checks_view(parts: Parts, ask: Ask, now: float) -> ChecksView:
    """The checks as they were read a few seconds ago."""
    checks = await CHECKS.get(parts)
    if checks is None:
        return ChecksView(None, [])
    found = sorted(checks, key=lambda check: (WORST_FIRST[check.status], check.name))
    return ChecksView([check for check in found if check.version is None], [check for check in found if check.version])


async def read_storage(parts: Parts) -> Forecast:
    async with parts.db.ask() as connection:
        return await forecast_store.forecast(connection, parts.db, parts.env, shared_clock.now())


STORAGE = Memo(read_storage, kept_s=60)
SETUP = live_page(
    LivePage(
        name="setup",
        template="setup.html",
        context=checks_view,
        regions={"checks": "setup/checks.html"},
        title="Setup · Evenkeel",
    )
)


def done(act: Act) -> AuditLine:
    """An act as the page tells it."""
    return AuditLine(act, one_line(act.before), one_line(act.after))


def one_line(value: Any) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()


async def show_setup(page: Page, draft: TargetDraft) -> None:
    """Answer with the page, for who asks, and the form of a new target as it was typed."""
    assert page.identity is not None
    admin, env = "admin" in page.identity.scopes, page.parts.env
    async with page.parts.db.act() as connection:
        keys = await list_keys(connection) if admin else []
        ended = [key for key in keys if has_ended(key)]
        live = [key for key in keys if key not in ended]
        view = SetupView(
            in_use=[key for key in live if key.created_by != OWN],
            own=[key for key in live if key.created_by == OWN],
            ended=ended,
            people=await list_people(connection) if admin else [],
            sessions=await list_sessions(connection, None if admin else page.identity.id),
            session_id=page.identity.session_id,
            acts=[done(act) for act in await recent_acts(connection, ACTS)] if admin else [],
            targets=await list_targets(connection) if admin else [],
            draft=draft,
            storage=await STORAGE.get(page.parts),
            public_url=env.public_url,
            missing={kind.name: kind.unavailable(env) for kind in KINDS.values()},
        )
    await page.show_live(SETUP, beside=view)


class SetupPage(Page):
    """GET /setup."""

    async def get(self) -> None:
        await show_setup(self, TargetDraft())


class CheckPage(Page):
    """GET /setup/checks/NAME: the results of one check."""

    async def get(self, name: str) -> None:
        async with self.parts.db.ask() as connection:
            results = await check_store.history(connection, name, HISTORY)
        if not results:
            raise ApiError("NOT_FOUND", f"No check named {name} has run.")
        self.show("setup/check.html", HistoryView(name, results), title=f"{name} · Evenkeel", page="setup")
