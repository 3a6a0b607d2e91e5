"""Deploy targets: where the deploys of each service are paused and rolled back; set up, tested and removed."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from dashboard.setup.acts import AdminAct
from dashboard.shared.page import Page
from server.changes import target_store, targets
from server.changes.adapters import ADAPTERS
from server.changes.adapters.adapter import Adapter
from server.changes.targets import DeployTargetRequest, DeployTargetView
from server.http.handler import field_error
from server.kernel.errors import ApiError

PAGE = "/setup/deploy-targets"
LONGEST = 2000  # characters of any field that is shown again


class DeployTargetDraft(Struct):
    """The form as typed but for its secret, and what is wrong with it, in which field."""

    service: str = ""
    kind: str = ""
    address: str = ""
    fault: str = ""
    field: str = ""


class DeployTargetsView(Struct):
    """What is set up, by service, and services that were deployed within 30 days and have none."""

    targets: list[DeployTargetView]
    without: list[str]
    draft: DeployTargetDraft
    adapters: Iterable[Adapter] = tuple(ADAPTERS.values())

    def title(self, kind: str) -> str:
        """A kind for people."""
        return ADAPTERS[kind].title if kind in ADAPTERS else kind


async def show_targets(page: Page, draft: DeployTargetDraft) -> None:
    """Answer with the page, and its form as it was typed."""
    async with page.parts.db.act() as connection:
        found = [targets.view(one) for one in await target_store.every(connection)]
        view = DeployTargetsView(found, await target_store.without_target(connection), draft)
    page.show("setup/deploy_targets.html", view, title="Deploy targets · Evenkeel", page="setup")


class DeployTargetsPage(Page):
    """GET /setup/deploy-targets; `service` is filled in."""

    needs = "admin"

    async def get(self) -> None:
        await show_targets(self, DeployTargetDraft(self.get_query_argument("service", "")[:LONGEST]))


class DeployTargetAct(AdminAct):
    """What the acts on the target of a service share."""

    back = PAGE

    @property
    def service(self) -> str:
        return self.get_body_argument("service", "")


class DeployTargetPut(DeployTargetAct):
    """POST /setup/deploy-targets: where a secret was made, the answer shows it, this once."""

    async def act(self) -> str | None:
        given = {name: self.get_body_argument(name, "") for name in ("service", "kind", "address", "secret")}
        try:
            asked = msgspec.convert(given, DeployTargetRequest)
        except msgspec.ValidationError as error:
            raise field_error(error, DeployTargetRequest) from None
        async with self.parts.db.act() as connection:
            made = await targets.put(connection, self.parts.env, asked, **self.by)
        if made.secret is None:
            return f"{made.target.service} is paused and rolled back there now. Test it."
        self.show("setup/deploy_target.html", made, title="A deploy target · Evenkeel", page="setup")
        return None

    async def refused(self, error: ApiError) -> None:
        """The page again, with what was typed and what is wrong with it beside it. The secret is typed again."""
        if error.code != "INVALID":
            raise error
        typed = {name: self.get_body_argument(name, "")[:LONGEST] for name in ("service", "kind", "address")}
        self.set_status(error.status)
        draft = DeployTargetDraft(**typed, fault=error.detail, field=error.extra["errors"][0]["field"])
        await show_targets(self, draft)


class DeployTargetTest(DeployTargetAct):
    """POST /setup/deploy-targets/test: the answer says what came of it."""

    async def proven(self) -> bool:
        """Nothing is changed by it."""
        return True

    async def act(self) -> str:
        async with self.parts.db.ask() as connection:
            found = await targets.required(connection, self.service)
        probed = await targets.probe(self.parts.env, found)
        return f"{found.service}: {probed.message if probed.ok else f'it would not work: {probed.message}'}"


class DeployTargetRemove(DeployTargetAct):
    """POST /setup/deploy-targets/remove."""

    async def act(self) -> str:
        async with self.parts.db.act() as connection:
            await targets.remove(connection, self.service, **self.by)
        return f"{self.service} has no deploy target any more: it is rolled back by hand."
