"""HTTP of where silences are written back: for administrators."""

from __future__ import annotations

from msgspec import Struct

from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.signals import alertmanager_target, copy_store
from server.signals.alertmanager_target import AlertmanagerProbed, AlertmanagerRequest, AlertmanagerView


class AlertmanagerSet(Struct):
    """Where silences are written back; null: nowhere."""

    alertmanager: AlertmanagerView | None


class AlertmanagerTargetHandler(ApiHandler):
    """/api/v1/alertmanager"""

    @operation("Where silences are written back; no secrets", scope="admin", returns=AlertmanagerSet)
    async def get(self) -> None:
        async with self.parts.db.ask() as connection:
            found = await copy_store.in_force(connection)
        self.reply(AlertmanagerSet(alertmanager_target.view(found) if found else None))

    @operation(
        "Write silences back to an Alertmanager", scope="admin", body=AlertmanagerRequest, returns=AlertmanagerView
    )
    async def post(self) -> None:
        """In the place of the one that they were written back to; what stands there ends in its time."""
        asked = self.body(AlertmanagerRequest)
        assert self.identity is not None
        async with self.parts.db.act() as connection:
            by = (self.identity.actor, self.request_id)
            self.reply(await alertmanager_target.put(connection, self.parts.env, asked, *by))


class AlertmanagerTestHandler(ApiHandler):
    """/api/v1/alertmanager/test"""

    @operation("Look whether it answers", scope="admin", returns=AlertmanagerProbed, errors=("NOT_FOUND",))
    async def post(self) -> None:
        async with self.parts.db.ask() as connection:
            found = await copy_store.in_force(connection)
        self.reply(await alertmanager_target.probe(self.parts.env, found))


class AlertmanagerRemoveHandler(ApiHandler):
    """/api/v1/alertmanager/remove"""

    @operation("Write silences back nowhere", scope="admin", returns=AlertmanagerSet, errors=("NOT_FOUND",))
    async def post(self) -> None:
        """What stands there ends in its time."""
        assert self.identity is not None
        async with self.parts.db.act() as connection:
            await alertmanager_target.remove(connection, self.identity.actor, self.request_id)
        self.reply(AlertmanagerSet(None))


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/alertmanager", AlertmanagerTargetHandler),
    Route("/api/v1/alertmanager/test", AlertmanagerTestHandler),
    Route("/api/v1/alertmanager/remove", AlertmanagerRemoveHandler),
)
