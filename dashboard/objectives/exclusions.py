"""Exclusions on the page of an objective: what was taken out of its budget, by whom and why; making and revoking."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

from msgspec import Struct

from dashboard.objectives.objective import OBJECTIVE, READ, find_objective
from dashboard.shared.act import whole
from dashboard.shared.page import Page
from dashboard.shared.rendering import segment
from server.http.failures import as_api_error
from server.kernel import shared_clock
from server.kernel.errors import ApiError, invalid
from server.parts import Parts
from server.slo.ledger import exclusions
from server.slo.ledger.exclusion import Exclusion, ExclusionAsked
from server.slo.ledger.exclusion_store import taken_by
from server.slo.model.counts import NOTHING, Counts
from server.slo.model.objective import Objective
from server.slo.model.status import by_name

SHOWN = 50
USUAL = timedelta(minutes=30)
MINUTE = timedelta(minutes=1)
LONGEST = 600  # characters of any field; the functions say which bounds really hold
TYPED = "%Y-%m-%dT%H:%M"  # as a browser sends a time without its zone: UTC here
Field = Callable[[str, str], str]  # a field's text by name, and the default


class ExclusionDraft(Struct):
    """The form, as typed. Times are UTC."""

    start: str
    stop: str
    route: str = ""
    version: str = ""
    method: str = ""
    reason: str = ""
    preview: str = ""
    fault: str = ""
    open: bool = False


class ExclusionLine(Struct):
    """An exclusion and what is taken out of this objective within it."""

    exclusion: Exclusion
    out: Counts
    when: Literal["past", "running", "to come"]


class ExclusionsView(Struct):
    """Beside the live regions: the exclusions that reach into the window, the last one first, and the form.

    `made` None: they cannot be read just now.
    """

    made: list[ExclusionLine] | None
    draft: ExclusionDraft
    max_hours: int


async def exclusions_view(parts: Parts, objective: Objective, draft: ExclusionDraft) -> ExclusionsView:
    """The section; without its list where the database does not answer, as the rest of the page goes on."""
    try:
        made = await read(parts, objective)
    except Exception as error:
        if as_api_error(error, 500).code != "UNAVAILABLE":
            raise
        made = None
    return ExclusionsView(made, draft, parts.policies.budget_policy.exclusions_max_hours)


async def read(parts: Parts, objective: Objective) -> list[ExclusionLine]:
    """The exclusions that reach into the objective's window, the last one first, from one snapshot."""
    now = shared_clock.now()
    async with parts.db.ask() as connection:
        found = await exclusions.listed(connection, objective.service, now)
        shown = [one for one in found if one.stop.timestamp() > now - objective.window_s][:SHOWN]
        counted = [(one.id, one.start, one.stop) for one in shown if one.revoked_at is None]
        out = await taken_by(connection, objective.id, counted)
    return [ExclusionLine(one, out.get(one.id, NOTHING), when(one, now)) for one in shown]


def when(one: Exclusion, now: float) -> Literal["past", "running", "to come"]:
    """Where an exclusion lies."""
    if one.start.timestamp() > now:
        return "to come"
    return "running" if now < one.stop.timestamp() else "past"


def read_draft(field: Field, now: float) -> ExclusionDraft:
    """The form's fields; by default the last half hour, with the minute that is not over."""
    until = datetime.fromtimestamp(now, UTC) + MINUTE
    return ExclusionDraft(
        start=field("start", (until - USUAL).strftime(TYPED))[:LONGEST],
        stop=field("stop", until.strftime(TYPED))[:LONGEST],
        route=field("route", "")[:LONGEST],
        version=field("version", "")[:LONGEST],
        method=field("method", "")[:LONGEST],
        reason=field("reason", "")[:LONGEST],
    )


def asked(draft: ExclusionDraft, service: str) -> ExclusionAsked:
    """What the form asks for; ApiError INVALID."""
    return ExclusionAsked(
        service=service,
        start=moment("From", draft.start),
        stop=moment("To", draft.stop),
        reason=draft.reason,
        route=draft.route.strip(),
        version=draft.version.strip(),
        method=draft.method.strip(),
    )


def moment(name: str, text: str) -> datetime:
    """A time as typed, UTC."""
    try:
        return datetime.fromisoformat(text.strip().removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError:
        raise invalid(name, "is a time in UTC, as 2026-11-26T03:08") from None


async def preview_sentence(parts: Parts, objective: Objective, draft: ExclusionDraft) -> str:
    """What the form would take out, in a sentence; where it would be refused, why."""
    statuses = by_name(parts.relay.status)
    try:
        async with parts.db.ask() as connection:
            given = asked(draft, objective.service)
            found = await exclusions.preview(connection, parts.policies, statuses, given, shared_clock.now())
            return found.sentence
    except ApiError as error:
        return error.detail


def forget(parts: Parts, service: str) -> None:
    """Have the pages of a service's objectives read anew, after its exclusions changed."""
    for objective in parts.policies.objectives:
        if objective.service == service:
            READ.forget(objective.name)


class ObjectivePage(Page):
    """GET /objectives/NAME; with the form's fields in the address, their preview without JavaScript."""

    async def get(self, name: str) -> None:
        objective = find_objective(self.parts, name)
        draft = read_draft(self.get_query_argument, shared_clock.now())
        if self.get_query_argument("start", ""):
            draft.preview, draft.open = await preview_sentence(self.parts, objective, draft), True
        beside = await exclusions_view(self.parts, objective, draft)
        await self.show_live(OBJECTIVE, beside, name=name)


class ExclusionPreview(Page):
    """GET /objectives/NAME/exclusions/preview: the sentence under the form, as HTML."""

    needs = "act"

    async def get(self, name: str) -> None:
        objective = find_objective(self.parts, name)
        draft = read_draft(self.get_query_argument, shared_clock.now())
        self.show("objective/preview.html", await preview_sentence(self.parts, objective, draft))


class ExclusionMake(Page):
    """POST /objectives/NAME/exclusions: take out, and go back; where that fails the form says why."""

    async def post(self, name: str) -> None:
        assert self.identity is not None
        objective, now = find_objective(self.parts, name), shared_clock.now()
        draft = read_draft(self.get_body_argument, now)
        try:
            given, actor = asked(draft, objective.service), self.identity.actor
            made = await exclusions.make(
                self.parts.db, self.parts.policies, given, actor=actor, request_id=self.request_id, now=now
            )
        except ApiError as error:
            await self.refused(objective, draft, error)
            return
        forget(self.parts, objective.service)
        self.say(made.message)
        self.see_other(f"/objectives/{segment(name)}#exclusions")

    async def refused(self, objective: Objective, draft: ExclusionDraft, error: ApiError) -> None:
        """The page again, with the draft and what is wrong with it."""
        if error.code != "INVALID":
            raise error
        draft.fault, draft.open = error.detail, True
        self.set_status(error.status)
        beside = await exclusions_view(self.parts, objective, draft)
        await self.show_live(OBJECTIVE, beside, name=objective.name)


class ExclusionRevoke(Page):
    """POST /objectives/NAME/exclusions/revoke."""

    async def post(self, name: str) -> None:
        assert self.identity is not None
        objective = find_objective(self.parts, name)
        actor = self.identity.actor
        try:
            number = whole(self, "id")
            revoked = await exclusions.revoke(
                self.parts.db,
                self.parts.policies,
                number,
                actor=actor,
                request_id=self.request_id,
                now=shared_clock.now(),
            )
            self.say(revoked.message)
        except ApiError as error:
            if error.code not in ("INVALID", "NOT_FOUND"):
                raise
            self.say(error.detail)
        forget(self.parts, objective.service)
        self.see_other(f"/objectives/{segment(name)}#exclusions")
