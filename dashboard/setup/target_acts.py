"""Acts of Setup on targets: add, remove, test, take acknowledgements. Each says what it did on Setup."""

from __future__ import annotations

from dashboard.setup.acts import AdminAct
from dashboard.setup.page import TargetDraft, show_setup
from dashboard.shared.act import whole
from server.kernel.errors import ApiError
from server.notify import acts
from server.notify.acts import NewTarget, TargetRequest, checked_kind
from server.notify.kinds import kind_of

LONGEST = 2000  # characters of any field that is shown again


class TargetAdd(AdminAct):
    """POST /setup/targets: where a secret was made, the answer shows it, this once."""

    async def act(self) -> str | None:
        made = await self.add()
        if made.secret is None:
            return f"{made.name} is told of alerts in step {made.step} now. Send it a test message."
        self.show("setup/target.html", made, title="A new target · Evenkeel", page="setup")
        return None

    async def refused(self, error: ApiError) -> None:
        """The page again, with what was typed and what is wrong with it beside it. The secret is typed again."""
        if error.code != "INVALID":
            raise error
        typed = {name: self.get_body_argument(name, "")[:LONGEST] for name in ("name", "kind", "address", "step")}
        self.set_status(error.status)
        await show_setup(self, TargetDraft(**typed, fault=error.detail, field=error.extra["errors"][0]["field"]))

    async def add(self) -> NewTarget:
        given = {name: self.get_body_argument(name, "") for name in ("name", "address", "secret")}
        kind = checked_kind(self.get_body_argument("kind", "")).name
        wanted = TargetRequest(kind=kind, step=whole(self, "step"), **given)
        async with self.parts.db.act() as connection:
            return await acts.add_target(connection, self.parts.env, wanted, **self.by)


class TargetRemove(AdminAct):
    """POST /setup/targets/remove."""

    async def act(self) -> str:
        async with self.parts.db.act() as connection:
            return (await acts.remove_target(connection, whole(self, "id"), **self.by)).message


class TargetTest(AdminAct):
    """POST /setup/targets/test: the answer says what came of it."""

    async def proven(self) -> bool:
        """Nothing is changed by it."""
        return True

    async def act(self) -> str:
        tested = await acts.send_test(self.parts.env, self.parts.db, whole(self, "id"), **self.by)
        return tested.message


class TargetInboundSecret(AdminAct):
    """POST /setup/targets/inbound-secret."""

    async def act(self) -> str:
        target_id, secret = whole(self, "id"), self.get_body_argument("inbound_secret", "")
        async with self.parts.db.act() as connection:
            found = await acts.set_inbound_secret(connection, self.parts.env, target_id, secret, **self.by)
        return f"Acknowledgements in {kind_of(found.kind).title} are taken for {found.name} now."
