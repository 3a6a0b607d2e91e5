"""SQL text: what exclusions take out of the budgets. The one definition, for deltas and for rollups."""

from __future__ import annotations


def excluded(series: str, at: str) -> str:
    """Whether an exclusion that is not revoked covers a row of `series` at the time `at`.

    Exclusions are whole minutes, so the time may be a second or the minute that it is in.
    """
    return f"""
        EXISTS (
            SELECT FROM exclusions x
            WHERE x.service = {series}.service AND x.revoked_at IS NULL AND x.start <= {at} AND x.stop > {at}
                AND x.route IN ('', {series}.route) AND x.version IN ('', {series}.version)
                AND x.method IN ('', {series}.method)
        )
    """
