"""HTTP of suspects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.incidents.suspect_answer import SuspectsAnswer, SuspectsQuestion, suspects_of
from server.kernel import shared_clock
from server.kernel.errors import invalid
from server.kernel.times import InstantText, instant
from server.parts import Parts


class SuspectsAsked(Struct):
    """`at`: the onset or the alarm, by default now. With `over_ms` what took longer counts, and not what failed."""

    at: InstantText | None = None
    over_ms: Annotated[float, Meta(gt=0, le=86_400_000)] | None = None


class SuspectsHandler(ApiHandler):
    @operation(
        "What explains that a service fails or is slow, near a time",
        scope="read",
        query=SuspectsAsked,
        returns=SuspectsAnswer,
        errors=("NOT_FOUND", "INVALID"),
    )
    async def get(self, service: str) -> None:
        self.reply(await suspects_near(self.parts, service, self.query(SuspectsAsked)))


async def suspects_near(parts: Parts, service: str, asked: SuspectsAsked) -> SuspectsAnswer:
    """The suspects of a service; ApiError NOT_FOUND, INVALID."""
    now = shared_clock.now()
    at = now if asked.at is None else instant("at", asked.at).timestamp()
    if asked.over_ms is not None:
        require_counted(parts.policies.thresholds_us(service), asked.over_ms)
    return await suspects_of(parts.db, SuspectsQuestion(service, at, asked.over_ms), now)


def require_counted(thresholds_us: Sequence[int], over_ms: float) -> None:
    """ApiError 422 where nothing is counted at this threshold: that is done for objectives of latency."""
    if over_ms not in [one / 1000 for one in thresholds_us]:
        those = ", ".join(f"{one / 1000:.10g}" for one in thresholds_us) or "none"
        raise invalid("over_ms", f"is the threshold of a latency objective of the service: {those}")


ROUTES = (Route("/api/v1/services/{service}/suspects", SuspectsHandler),)
