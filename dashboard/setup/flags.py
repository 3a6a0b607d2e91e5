"""Where flags are read: added and removed, and how each look fares."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from dashboard.setup.acts import AdminAct
from dashboard.shared.act import whole
from dashboard.shared.page import Page
from server.changes import flag_sources, flag_store
from server.changes.flag_sources import FlagSourceRequest, FlagSourceView
from server.http.handler import field_error
from server.kernel.errors import ApiError

PAGE = "/setup/flags"
LONGEST = 2000  # characters of any field that is shown again


class FlagDraft(Struct):
    """The form as typed but for its secrets, and what is wrong with it, in which field."""

    name: str = ""
    service: str = ""
    fault: str = ""
    field: str = ""


class FlagsView(Struct):
    """Where flags are read."""

    sources: list[FlagSourceView]
    public_url: str
    draft: FlagDraft


async def show_flags(page: Page, draft: FlagDraft) -> None:
    """Answer with the page, and its form as it was typed."""
    async with page.parts.db.act() as connection:
        found = [flag_sources.view(one) for one in await flag_store.every(connection)]
    view = FlagsView(found, page.parts.env.public_url, draft)
    page.show("setup/flags.html", view, title="Flags · Evenkeel", page="setup")


class FlagsPage(Page):
    """GET /setup/flags."""

    needs = "admin"

    async def get(self) -> None:
        await show_flags(self, FlagDraft())


class FlagSourceAdd(AdminAct):
    """POST /setup/flags/add."""

    back = PAGE

    async def act(self) -> str:
        given = {name: self.get_body_argument(name, "") for name in ("name", "service", "address", "header")}
        try:
            asked = msgspec.convert(given, FlagSourceRequest)
        except msgspec.ValidationError as error:
            raise field_error(error, FlagSourceRequest) from None
        async with self.parts.db.act() as connection:
            made = await flag_sources.add(connection, self.parts.env, asked, **self.by)
        return f"Flags of {made.service} are read at {made.address} each {flag_store.EVERY_S:g} s now."

    async def refused(self, error: ApiError) -> None:
        """The page again, with what was typed and what is wrong with it. Address and header are typed again."""
        if error.code != "INVALID":
            raise error
        typed = {name: self.get_body_argument(name, "")[:LONGEST] for name in ("name", "service")}
        self.set_status(error.status)
        await show_flags(self, FlagDraft(**typed, fault=error.detail, field=error.extra["errors"][0]["field"]))


class FlagSourceRemove(AdminAct):
    """POST /setup/flags/remove."""

    back = PAGE

    async def act(self) -> str:
        async with self.parts.db.act() as connection:
            gone = await flag_sources.remove(connection, whole(self, "id"), **self.by)
        return f"{gone.name} of {gone.service} is read no longer."
