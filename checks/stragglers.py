"""Every process is heard of, has applied the revision in force, runs one version and has one policy file."""

from __future__ import annotations

from collections.abc import Sequence

from checks import store
from checks.check import Check, Surroundings, fail, warn
from server.selfcheck.findings import Finding

SILENT_S = 5.0  # a heartbeat comes each second
APPLIED_WITHIN_S = 10.0  # by polling at the latest after 5 s
SIDE_BY_SIDE_S = 3600.0


async def run(around: Surroundings) -> list[Finding]:
    """Heartbeats, receipts and versions."""
    async with around.database.ask() as connection:
        rows = await store.processes(connection)
        in_force = await store.revision_in_force(connection)
        policy, hosts = await store.other_policy_files(connection)
    return [*silent(rows), *behind(rows, in_force), *mixed(rows), *superseded(policy, hosts)]


def silent(rows: Sequence[store.SilentProcess]) -> list[Finding]:
    hint = "It is frozen or cut off from the database; it may still enforce old limits. Restart it."
    return [
        fail(f"Silent for {row.heartbeat_age_s:.0f} s.", hint, row.label)
        for row in rows
        if row.heartbeat_age_s > SILENT_S
    ]


def behind(rows: Sequence[store.SilentProcess], in_force: tuple[int, float] | None) -> list[Finding]:
    """Web processes without a receipt of a revision that has been in force for long enough."""
    if in_force is None:
        return []
    number, age_s = in_force
    hint = "Its log says why it could not apply the revision; restart it if it does not within a minute."
    return [
        fail(f"Enforces revision {row.revision or 'none'}, not {number}.", hint, row.label)
        for row in rows
        if row.kind == "web"
        and row.heartbeat_age_s <= SILENT_S
        and min(age_s, row.age_s) > APPLIED_WITHIN_S
        and (row.revision or 0) < number
    ]


def mixed(rows: Sequence[store.SilentProcess]) -> list[Finding]:
    """Two versions side by side are a deploy; for an hour they are a deploy that was not finished."""
    versions = sorted({row.version for row in rows})
    youngest = min((row.age_s for row in rows), default=0.0)
    if len(versions) < 2 or youngest < SIDE_BY_SIDE_S:
        return []
    return [warn(f"Versions {', '.join(versions)} run side by side.", "Finish the deploy or roll it back.")]


def superseded(policy: int, hosts: Sequence[str]) -> list[Finding]:
    """Machines whose policy file is not the policy in force: of an older release, or edited while nothing ran."""
    hint = "Finish the deploy; or put the file in force from there: python -m server slo apply"
    return [warn(f"The file here is not the policy in force, revision {policy}.", hint, host) for host in hosts]


CHECK = Check(
    "stragglers",
    "Every process is heard of and has applied the revision in force",
    needs="database",
    run=run,
    every_s=30,
    limit_s=10,
)
