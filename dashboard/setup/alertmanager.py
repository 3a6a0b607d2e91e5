"""Where silences are written back: set up, tested and removed."""

from __future__ import annotations

from msgspec import Struct

from dashboard.setup.acts import AdminAct
from dashboard.shared.page import Page
from server.kernel.errors import ApiError
from server.signals import alertmanager_target, copy_store
from server.signals.alertmanager_target import AlertmanagerRequest, AlertmanagerView

PAGE = "/setup/alertmanager"


class AlertmanagerSetup(Struct):
    """What is set up, None: nothing; and what is wrong with what was typed, which may hold a password."""

    target: AlertmanagerView | None
    fault: str


async def show_alertmanager(page: Page, fault: str = "") -> None:
    """Answer with the page."""
    async with page.parts.db.act() as connection:
        found = await copy_store.in_force(connection)
    view = AlertmanagerSetup(alertmanager_target.view(found) if found else None, fault)
    page.show("setup/alertmanager.html", view, title="Alertmanager · Evenkeel", page="setup")


class AlertmanagerPage(Page):
    """GET /setup/alertmanager."""

    needs = "admin"

    async def get(self) -> None:
        await show_alertmanager(self)


class AlertmanagerPut(AdminAct):
    """POST /setup/alertmanager/put."""

    back = PAGE

    async def act(self) -> str:
        asked = AlertmanagerRequest(self.get_body_argument("address", "")[:2000])
        async with self.parts.db.act() as connection:
            made = await alertmanager_target.put(connection, self.parts.env, asked, **self.by)
        return f"Silences of services are written back to {made.address} now. Test it."

    async def refused(self, error: ApiError) -> None:
        """The page again, with what is wrong. The address is typed again: it may hold a password."""
        if error.code != "INVALID":
            raise error
        self.set_status(error.status)
        await show_alertmanager(self, error.detail)


class AlertmanagerTest(AdminAct):
    """POST /setup/alertmanager/test: the answer says what came of it."""

    back = PAGE

    async def proven(self) -> bool:
        """Nothing is changed by it."""
        return True

    async def act(self) -> str:
        async with self.parts.db.act() as connection:
            await copy_store.try_now(connection)
            found = await copy_store.in_force(connection)
        probed = await alertmanager_target.probe(self.parts.env, found)
        return probed.message if probed.ok else f"It would take none: {probed.message}"


class AlertmanagerRemove(AdminAct):
    """POST /setup/alertmanager/remove."""

    back = PAGE

    async def act(self) -> str:
        async with self.parts.db.act() as connection:
            host = await alertmanager_target.remove(connection, **self.by)
        return f"Silences are written back to {host} no longer; those there end in their time."
