"""The addresses of maintenance windows."""

from __future__ import annotations

from msgspec import Struct

from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.http.shown import answered, shows
from server.kernel.errors import ApiError
from server.kernel.ids import number_in
from server.maintenance import acts, store
from server.maintenance.acts import Actor, WindowSaved
from server.maintenance.store import WINDOWS, WindowRow
from server.maintenance.window import Extension, WindowAsked, WindowState

OVER_SHOWN = 100


@shows(WINDOWS, but=("change_id",))
class WindowAnswer(Struct):
    """Whole minutes [start, stop), as planned or extended; `started_at` and `ended_at` are when it did. `ended_by` '':
    by its time."""

    state: WindowState


class WindowsAnswer(Struct):
    """`open`: planned and running, the one that begins first first; `over`: the newest 100 that have ended or were
    cancelled."""

    open: list[WindowAnswer]
    over: list[WindowAnswer]


class WindowSavedAnswer(Struct):
    """What came of an act. `already`: it was so before, and nothing was changed."""

    window: WindowAnswer
    already: bool
    message: str


class MaintenanceHandler(ApiHandler):
    """What the addresses share."""

    @property
    def actor(self) -> Actor:
        """Who acts."""
        assert self.identity is not None
        return Actor(self.identity.actor, self.request_id)

    async def mine(self, window_id: str) -> int:
        """The number of a window of whose services the key is; ApiError NOT_FOUND, FORBIDDEN."""
        number = number_in(window_id)
        if number is None:
            raise ApiError(
                "NOT_FOUND", f"{window_id[:40]} is not a number; the list has the numbers. Nothing was done."
            )
        async with self.parts.db.ask() as connection:
            for service in (await acts.known(connection, number)).services:
                self.for_service(service)
        return number

    def saved(self, done: WindowSaved) -> None:
        """Answer what came of an act."""
        self.reply(
            WindowSavedAnswer(window_answer(done.window), done.already, done.message), 200 if done.already else None
        )


class MaintenanceWindowsHandler(MaintenanceHandler):
    @operation("Maintenance windows: planned, running and past", scope="read", returns=WindowsAnswer)
    async def get(self) -> None:
        async with self.parts.db.ask() as connection:
            found = await store.open_(connection), await store.over(connection, OVER_SHOWN)
        self.reply(WindowsAnswer(*[[window_answer(one) for one in some] for some in found]))

    @operation(
        "Plan maintenance: out of the budget, silenced, announced and marked on charts",
        scope="act",
        body=WindowAsked,
        of_service=True,
        returns=WindowSavedAnswer,
        status=201,
        also=(200,),
    )
    async def post(self) -> None:
        """[start, stop) is widened to whole minutes. The same times of the same services answer 200 with the first."""
        asked = self.body(WindowAsked)
        for service in acts.covered(self.parts, asked):
            self.for_service(service)
        self.saved(await acts.plan(self.parts, asked, self.actor))


class ExtendWindowHandler(MaintenanceHandler):
    @operation(
        "Have a maintenance window end later",
        scope="act",
        body=Extension,
        of_service=True,
        returns=WindowSavedAnswer,
        errors=("NOT_FOUND", "CONFLICT"),
    )
    async def post(self, window_id: str) -> None:
        """Its exclusion, silence and announcement follow. 409 where it is over."""
        asked = self.body(Extension)
        number = await self.mine(window_id)
        self.saved(await acts.extend(self.parts, number, asked, self.actor))


class EndWindowHandler(MaintenanceHandler):
    @operation(
        "End a maintenance window now, or cancel one that has not begun",
        scope="act",
        of_service=True,
        returns=WindowSavedAnswer,
        errors=("NOT_FOUND",),
    )
    async def post(self, window_id: str) -> None:
        """What fails from now on is told, and counts from the next minute on. A repeat says who did it, and when."""
        self.saved(await acts.end(self.parts, await self.mine(window_id), self.actor))


def window_answer(row: WindowRow) -> WindowAnswer:
    """A window as the API shows it."""
    return answered(row, WindowAnswer, state=row.state)


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/maintenance-windows", MaintenanceWindowsHandler),
    Route("/api/v1/maintenance-windows/{window_id}/end", EndWindowHandler),
    Route("/api/v1/maintenance-windows/{window_id}/extend", ExtendWindowHandler),
)
