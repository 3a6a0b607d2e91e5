"""Deploys can be rolled back: each deploy target would take an order now, and each service that deploys has one."""

from __future__ import annotations

from dataclasses import replace

from checks.check import Check, Surroundings, fail, warn
from checks.secret_key import key_of
from server.changes import target_store
from server.changes.targets import probe
from server.selfcheck.findings import Finding

MEND = "Set it up on Setup, Deploy targets (/setup/deploy-targets), or by POST /api/v1/deploy-targets."

TELL = "Each is found by its first outcome. Tell of them from the pipeline: docs/gate.md has the lines."


async def run(around: Surroundings) -> list[Finding]:
    """Ask each, changing nothing there."""
    if around.env is None:
        return []
    async with around.database.ask() as connection:
        targets = await target_store.every(connection)
        without = await target_store.without_target(connection)
        silent = await target_store.unannounced(connection)
    env = replace(around.env, secret_key=key_of(around.env)) if targets else around.env
    found = [(target, await probe(env, target)) for target in targets]
    wrong = [fail(f"Not ready to act: {one.message}.", MEND, f"service {t.service}") for t, one in found if not one.ok]
    wrong += [warn(f"No deploy target, rolled back by hand: {few(without)}.", MEND)] if without else []
    wrong += [warn(f"Deploys that nobody tells of: {few(silent)}.", TELL)] if silent else []
    return wrong


def few(services: list[str]) -> str:
    """At most five of them."""
    return ", ".join(services[:5]) + (f" and {len(services) - 5} more" if len(services) > 5 else "")


CHECK = Check(
    "deploy_targets",
    "Deploys can be rolled back",
    needs="database",
    run=run,
    every_s=3600,
    limit_s=60,
)
