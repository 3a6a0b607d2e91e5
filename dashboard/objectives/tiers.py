"""The burn tiers of an objective as a table: how fast it burns now in both windows of each, against its threshold."""

from __future__ import annotations

from msgspec import Struct

from server.slo.model.objective import Objective
from server.slo.model.status import BurnWindow, ObjectiveStatus, Standing
from server.slo.model.tiers import Urgency

TOLD: dict[Standing, str] = {
    "holds": "holds too",
    "over": "over: what came since burns less",
    "unsure": "too few failures to be sure",
    "one_client": "may be one client's failures",
}


class TierRow(Struct):
    """One tier. A window None: not evaluated yet."""

    name: str
    urgency: Urgency
    threshold: float  # the burn rate that both windows must have
    long_s: int
    short_s: int
    long: BurnWindow | None
    short: BurnWindow | None
    decides: bool  # the most urgent that holds
    told: str  # how it stands, where both windows burn so fast


def tier_rows(objective: Objective, standing: ObjectiveStatus | None) -> list[TierRow]:
    """Every tier in force, the most urgent first."""
    counted = {one.window_s: one for one in standing.windows} if standing else {}
    decided = standing.decided_by if standing else []
    standings = standing.tiers if standing else {}
    return [
        TierRow(
            name=tier.name,
            urgency=tier.urgency,
            threshold=float(tier.burn),
            long_s=tier.long_s,
            short_s=tier.short_s,
            long=counted.get(tier.long_s),
            short=counted.get(tier.short_s),
            decides=decided == [tier.long_s, tier.short_s],
            told=TOLD[standings[tier.name]] if tier.name in standings else "",
        )
        for tier in objective.tiers
    ]
