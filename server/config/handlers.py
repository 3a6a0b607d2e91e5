"""HTTP of the settings."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct, field

from server.config import service, view
from server.config.differences import RevisionView
from server.config.registry import Value
from server.config.revisions import ALL
from server.config.saving import Saved
from server.config.service import StagedAct, StagedActDone, act_on
from server.config.staged import StagingAsked
from server.config.view import ConfigView
from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.kernel import shared_clock
from server.kernel.errors import ApiError

Number = Annotated[int, Meta(ge=1, le=2**31 - 1)]

ETAG = re.compile(r'(?:W/)?"(\d{1,9})"|(\d{1,9})', re.ASCII)


class SettingsChange(Struct, forbid_unknown_fields=True):
    """New values; null takes a scope's own value away."""

    values: dict[str, Value | None]
    reason: str
    scope: str = ALL  # all, or key:ID
    minutes: int | None = None  # how long; left out: kept
    stage: StagingAsked | None = None  # left out: in force everywhere at once


class RollbackAsked(Struct, forbid_unknown_fields=True):
    """`from`: the revision seen in force; `to`: the one to bring back. Both may be left out."""

    from_: Number | None = field(default=None, name="from")
    to: Number | None = None
    reason: str = ""


class StagedActAsked(Struct, forbid_unknown_fields=True):
    """`revision` is the staged one that was seen."""

    act: StagedAct
    revision: Number


class RevisionsAsked(Struct):
    """Newest first; `before` is the number of the last revision already seen."""

    before: Number | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class Revisions(Struct):
    """`next` is the `before` of the next page; null on the last."""

    revisions: list[RevisionView]
    next: int | None


class ConfigHandler(ApiHandler):
    """/api/v1/config"""

    @operation("The settings in force, their sources, receipts and history", scope="read", returns=ConfigView)
    async def get(self) -> None:
        """The ETag is the number of the revision in force: send it as If-Match with a change."""
        found = await view.config_view(self.parts, shared_clock.now())
        self.set_header("Etag", f'"{found.revision.revision}"')
        self.reply(found)

    @operation(
        "Change settings",
        scope="act",
        body=SettingsChange,
        returns=Saved,
        errors=("REVISION_CHANGED", "CONFLICT", "GATE_DENIED", "UNAVAILABLE", "PRECONDITION_REQUIRED", "INVALID"),
        headers=("If-Match",),
        body_media=("application/json", "application/merge-patch+json"),
    )
    async def patch(self) -> None:
        """A lost race is 412 and says who saved what meanwhile."""
        asked, expected = self.body(SettingsChange), seen_revision(self.request.headers.get("If-Match"))
        assert self.identity is not None
        saved = await service.change(
            self.parts,
            self.identity,
            expected=expected,
            values=asked.values,
            scope=asked.scope,
            minutes=asked.minutes,
            reason=asked.reason,
            stage=asked.stage,
            request_id=self.request_id,
        )
        self.set_header("Etag", f'"{saved.in_force}"')
        self.reply(saved)

    def check_etag_header(self) -> bool:
        """Never 304: receipts change while the revision stays."""
        return False


class RevisionsHandler(ApiHandler):
    """/api/v1/config/revisions"""

    @operation("Revisions, newest first", scope="read", query=RevisionsAsked, returns=Revisions)
    async def get(self) -> None:
        page = self.query(RevisionsAsked)
        shown, more = await view.revisions_view(self.parts, shared_clock.now(), page.limit, page.before)
        self.reply(Revisions(shown, shown[-1].revision if more else None))


class RollbackHandler(ApiHandler):
    """/api/v1/config/rollback"""

    @operation(
        "Bring the values of an earlier revision back",
        scope="act",
        body=RollbackAsked,
        returns=Saved,
        errors=("CONFLICT", "ROLLBACK_AMBIGUOUS", "INVALID"),
    )
    async def post(self) -> None:
        """A new revision. A repeat of one that was done answers who did it and when, and changes nothing."""
        asked = self.body(RollbackAsked) if self.request.body else RollbackAsked()
        assert self.identity is not None
        saved = await service.rollback(
            self.parts,
            self.identity,
            from_=asked.from_,
            to=asked.to,
            reason=asked.reason,
            request_id=self.request_id,
        )
        self.set_header("Etag", f'"{saved.in_force}"')
        self.reply(saved)


class StagedHandler(ApiHandler):
    """/api/v1/config/staged"""

    @operation(
        "Pause, resume, promote or roll back a staged revision",
        scope="act",
        body=StagedActAsked,
        returns=StagedActDone,
        errors=("CONFLICT", "INVALID"),
    )
    async def post(self) -> None:
        """A repeat of what was done answers who did it and when, and changes nothing."""
        asked = self.body(StagedActAsked)
        assert self.identity is not None
        self.reply(await act_on(self.parts, self.identity, asked.act, asked.revision, self.request_id))


def seen_revision(if_match: str | None) -> int:
    """The revision in If-Match; ApiError PRECONDITION_REQUIRED where it names none."""
    match = ETAG.fullmatch((if_match or "").strip())
    if match is None:
        detail = 'Send the revision that you looked at, as in If-Match: "14" (the ETag of GET). Nothing was saved.'
        raise ApiError("PRECONDITION_REQUIRED", detail)
    return int(match[1] or match[2])


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/config", ConfigHandler),
    Route("/api/v1/config/revisions", RevisionsHandler),
    Route("/api/v1/config/rollback", RollbackHandler),
    Route("/api/v1/config/staged", StagedHandler),
)
