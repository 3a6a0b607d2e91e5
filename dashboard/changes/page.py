"""Changes: whatever altered production, newest first."""

from __future__ import annotations

from msgspec import Struct

from dashboard.shared.live import Ask, LivePage, live_page
from dashboard.shared.memo import Memos
from dashboard.shared.page import Page
from server.changes import store
from server.changes.store import Change
from server.changes.verdict import ChangeVerdict
from server.kernel import shared_clock
from server.kernel.ids import number_in
from server.kernel.text import span
from server.parts import Parts
from server.selfcheck import store as check_store
from server.selfcheck.findings import Finding

SHOWN = 50
KEPT_S = 400 * 24 * 3600.0
# The boxed letters that mark changes, here and on charts; the environment is where settings come from.
LETTERS = {
    "deploy": "D",
    "revision": "R",
    "environment": "R",
    "scale": "S",
    "flag": "F",
    "other": "C",
    "override": "O",
    "policy": "P",
    "exclusion": "E",
    "maintenance": "W",
    "migration": "M",
    "restart": "T",
}


class ChangeRow(Struct):
    """One change with its letter, why it was made, and how far it is: `under way`, `failed`, `took 3 min 12 s`."""

    change: Change
    letter: str
    reason: str
    told: str
    verdict: ChangeVerdict | None


class ChangesView(Struct):
    """One page of changes; None: they cannot be read just now. `next` continues below the last one."""

    changes: list[ChangeRow] | None
    service: str
    before: int | None
    next: int | None
    missing: list[Finding]  # what the check of deploy targets has found


async def changes_view(parts: Parts, ask: Ask, now: float) -> ChangesView:
    """The newest changes, of one service where the address names it."""
    service, text = ask.get("service")[:200], ask.get("before")
    before = number_in(text, 18)
    found = await READ.get(parts, (service, before), parts.settings.revision)
    shown = None if found is None else found.changes[:SHOWN]
    more = shown[-1].id if found and shown and len(found.changes) > SHOWN else None
    rows = [change_row(one, found.verdicts.get(one.id)) for one in shown or ()] if found else None
    return ChangesView(rows, service, before, more, found.missing if found and before is None else [])


def change_row(change: Change, verdict: ChangeVerdict | None) -> ChangeRow:
    """A change for people; a detail of another shape, of another version say, has no reason."""
    detail = change.detail if isinstance(change.detail, dict) else {}
    return ChangeRow(change, LETTERS.get(change.kind, "?"), str(detail.get("reason", "")), course(change), verdict)


def course(change: Change) -> str:
    """How far a change is and how long it took, and whether its migration can be undone; empty where it is not told."""
    told = {"started": ["under way"], "failed": ["failed"], "finished": []}[change.state]
    if change.finished is not None and change.finished > change.at:
        told.append(f"took {span((change.finished - change.at).total_seconds())}")
    if change.migration in ("reversible", "irreversible"):
        told.append(f"{change.migration} migration")
    detail = change.detail if isinstance(change.detail, dict) else {}
    if isinstance(detail.get("late_s"), int):
        told.append(f"told {span(detail['late_s'])} late")
    if detail.get("time") == "receipt":
        told.append("at the time of receipt")
    return ", ".join(told)


class ChangesRead(Struct):
    """What is read from the database."""

    changes: list[Change]
    verdicts: dict[int, ChangeVerdict]
    missing: list[Finding]


async def read(parts: Parts, asked: tuple[str, int | None]) -> ChangesRead:
    (service, before), now = asked, shared_clock.now()
    async with parts.db.ask() as connection:
        found = await store.recent(connection, now - KEPT_S, service or None, SHOWN + 1, before)
        verdicts = await parts.verdicts(connection, [one.id for one in found[:SHOWN]], now)
        checked = await check_store.history(connection, "deploy_targets", 1)
        return ChangesRead(found, verdicts, checked[0].findings if checked else [])


READ = Memos(read, kept_s=5)


CHANGES = live_page(
    LivePage(
        name="changes",
        template="changes.html",
        context=changes_view,
        regions={"changes": "changes/list.html"},
        args=("service", "before"),
        title="Changes · Evenkeel",
    )
)


class ChangesPage(Page):
    """GET /changes."""

    async def get(self) -> None:
        await self.show_live(CHANGES)
