"""HTTP of deploy targets: for administrators."""

from __future__ import annotations

from msgspec import Struct

from server.changes import target_store, targets
from server.changes.targets import DeployTargetMade, DeployTargetRequest, DeployTargetView, Probed
from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route


class DeployTargets(Struct):
    """By service."""

    targets: list[DeployTargetView]


class DeployTargetGone(Struct):
    """Whose deploy target is forgotten."""

    service: str


class DeployTargetsHandler(ApiHandler):
    """/api/v1/deploy-targets"""

    @operation("Where deploys are paused and rolled back; no secrets", scope="admin", returns=DeployTargets)
    async def get(self) -> None:
        async with self.parts.db.ask() as connection:
            self.reply(DeployTargets([targets.view(one) for one in await target_store.every(connection)]))

    @operation(
        "Set a service's deploy target; a secret made here is shown this once",
        scope="admin",
        body=DeployTargetRequest,
        returns=DeployTargetMade,
        status=201,
    )
    async def post(self) -> None:
        """In the place of the one that the service had."""
        asked = self.body(DeployTargetRequest)
        assert self.identity is not None
        async with self.parts.db.act() as connection:
            made = await targets.put(connection, self.parts.env, asked, self.identity.actor, self.request_id)
        self.reply(made)


class ForgetHandler(ApiHandler):
    """/api/v1/deploy-targets/{service}/remove"""

    @operation("Forget a deploy target", scope="admin", returns=DeployTargetGone, errors=("NOT_FOUND",))
    async def post(self, service: str) -> None:
        assert self.identity is not None
        async with self.parts.db.act() as connection:
            await targets.remove(connection, service, self.identity.actor, self.request_id)
        self.reply(DeployTargetGone(service))


class ProbeHandler(ApiHandler):
    """/api/v1/deploy-targets/{service}/test"""

    @operation("Look whether a deploy target would work", scope="admin", returns=Probed, errors=("NOT_FOUND",))
    async def post(self, service: str) -> None:
        """Changes nothing there. A webhook is sent the act `test`."""
        async with self.parts.db.ask() as connection:
            found = await targets.required(connection, service)
        self.reply(await targets.probe(self.parts.env, found))


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/deploy-targets", DeployTargetsHandler),
    Route("/api/v1/deploy-targets/{service}/remove", ForgetHandler),
    Route("/api/v1/deploy-targets/{service}/test", ProbeHandler),
)
