"""What fails just now: what the failing requests share, the newest of them to open, and what explains them."""

from __future__ import annotations

from dashboard.shared.memo import Memos
from server.incidents.suspect_answer import SuspectsAnswer, SuspectsQuestion, suspects_of
from server.kernel import shared_clock
from server.live.outcomes import FailingRequests, failing_requests
from server.parts import Parts


async def read_failing(parts: Parts, asked: tuple[str, float | None]) -> FailingRequests:
    service, over_ms = asked
    async with parts.db.ask() as connection, parts.db.rows_beside(connection) as rows:
        return await failing_requests(connection, service, shared_clock.now(), over_ms, rows)


async def read_suspects(parts: Parts, asked: SuspectsQuestion) -> SuspectsAnswer:
    return await suspects_of(parts.db, asked, shared_clock.now())


def mostly(failing: FailingRequests | None, field: str) -> str:
    """The value of a field that more than half of them share; nothing where there is none."""
    first = failing.shared.get(field, [])[:1] if failing is not None else []
    return next((one.value for one in first if failing is not None and 2 * one.n > failing.read), "")


# By service, and the threshold over which it is slow: None where it fails.
FAILING = Memos(read_failing, kept_s=3)
SUSPECTS = Memos(read_suspects, kept_s=10)  # of an alert, ranked in a thread
