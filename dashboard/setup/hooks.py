"""Hooks: what platforms sign with that tell of changes; made and removed."""

from __future__ import annotations

from msgspec import Struct

from dashboard.setup.acts import AdminAct
from dashboard.shared.act import whole
from dashboard.shared.page import Page
from server.changes import hook_store, hooks
from server.changes.hooks import HookRequest, HookView
from server.kernel.errors import ApiError

PAGE = "/setup/hooks"
LONGEST = 2000  # characters of any field that is shown again


class HookDraft(Struct):
    """The form as typed, and what is wrong with it, in which field."""

    name: str = ""
    services: str = ""
    fault: str = ""
    field: str = ""


class HooksView(Struct):
    """The hooks in force, and where platforms reach us."""

    hooks: list[HookView]
    public_url: str
    draft: HookDraft


async def show_hooks(page: Page, draft: HookDraft) -> None:
    """Answer with the page, and its form as it was typed."""
    async with page.parts.db.act() as connection:
        found = [hooks.view(one) for one in await hook_store.every(connection)]
    view = HooksView(found, page.parts.env.public_url, draft)
    page.show("setup/hooks.html", view, title="Hooks · Evenkeel", page="setup")


class HooksPage(Page):
    """GET /setup/hooks."""

    needs = "admin"

    async def get(self) -> None:
        await show_hooks(self, HookDraft())


class HookMake(AdminAct):
    """POST /setup/hooks/make: the answer shows the secret, this once."""

    back = PAGE

    async def act(self) -> None:
        services = [one for one in self.get_body_argument("services", "").split(",") if one.strip()]
        asked = HookRequest(self.get_body_argument("name", ""), services)
        async with self.parts.db.act() as connection:
            made = await hooks.make(connection, self.parts.env, asked, **self.by)
        url = self.parts.env.public_url
        self.show("setup/hook.html", made, title="A new hook · Evenkeel", page="setup", public_url=url)

    async def refused(self, error: ApiError) -> None:
        """The page again, with what was typed and what is wrong with it beside it."""
        if error.code != "INVALID":
            raise error
        typed = {name: self.get_body_argument(name, "")[:LONGEST] for name in ("name", "services")}
        self.set_status(error.status)
        await show_hooks(self, HookDraft(**typed, fault=error.detail, field=error.extra["errors"][0]["field"]))


class HookRemove(AdminAct):
    """POST /setup/hooks/remove."""

    back = PAGE

    async def act(self) -> str:
        async with self.parts.db.act() as connection:
            name = await hooks.remove(connection, whole(self, "id"), **self.by)
        return f"{name} is removed: what it signs is refused, with 403."
