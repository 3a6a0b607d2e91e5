"""What is stored encrypted opens with the SECRET_KEY of today: secrets of targets, and authenticators of people."""

from __future__ import annotations

from checks.check import Check, Surroundings, Unavailable, fail, note
from server.auth import people_store, second_step
from server.changes import flag_sources, flag_store, hook_store
from server.changes import hooks as change_hooks
from server.changes import target_store as deploy_store
from server.changes import targets as deploy_targets
from server.changes.hook_store import Hook
from server.kernel import sealed, settings
from server.kernel.errors import ConfigurationError
from server.kernel.secret_key import keys_of
from server.kernel.settings import Environment
from server.notify import secrets
from server.notify import store as target_store
from server.notify.target import Target
from server.selfcheck.findings import Finding
from server.signals import copy_store, copying
from server.signals.copy_store import AlertmanagerTarget

KEPT = "What waits for it is kept for a day."
TARGET = (
    "Start with the SECRET_KEY of before, and it is sent at once; where that is lost, remove the target on Setup "
    "and add it again."
)
INBOUND = "Start with the SECRET_KEY of before; or store the secret that PagerDuty shows once more, on Setup."
HOOK = "Start with the SECRET_KEY of before; where that is lost, remove it on Setup, Hooks, and make another."
AM = "Start with the SECRET_KEY of before; where that is lost, set it up again on Setup, Alertmanager."
RESEAL = "Before that key is taken away: python -m server reseal"
CODES = (
    "Start with the SECRET_KEY of before; or each signs in with a recovery code and sets codes up again. Who has "
    "none: python -m server user codes-off EMAIL"
)


async def run(around: Surroundings) -> list[Finding]:
    """Open each of them."""
    async with around.database.ask() as connection:
        targets = await target_store.every(connection)
        codes = await people_store.sealed_codes(connection)
        deploys = await deploy_store.every(connection)
        hooks = await hook_store.every(connection)
        flags = await flag_store.every(connection)
        alertmanager = await copy_store.in_force(connection)
    if around.env is None:
        return []
    key = key_of(around.env)
    everything = [(second_step.PURPOSE, stored) for _, stored in codes]
    everything += [(secrets.OUT, one.secret) for one in targets] + [(secrets.IN, one.inbound_secret) for one in targets]
    everything += [(deploy_targets.SECRETS, one.secret) for one in deploys]
    everything += [(change_hooks.SECRETS, one.secret) for one in hooks]
    everything += [(flag_sources.ADDRESSES, one.address) for one in flags]
    everything += [(flag_sources.HEADERS, one.header) for one in flags]
    everything += [(copying.SECRETS, alertmanager.address)] if alertmanager else []
    lost = [email for email, stored in codes if not sealed.opens(key, second_step.PURPOSE, stored)]
    of_targets = [finding for target in targets for finding in of_target(key, target)]
    return (
        of_targets + of_hooks(key, hooks) + of_alertmanager(key, alertmanager) + of_people(lost) + old(key, everything)
    )


def key_of(env: Environment) -> str:
    """The key; on the command line the environment was read without. Raises Unavailable."""
    try:
        return settings.key_of(env)
    except ConfigurationError as error:
        raise Unavailable(str(error), "Give this command the SECRET_KEY of the server.") from None


def of_target(key: str, target: Target) -> list[Finding]:
    found, where = [], f"target {target.name}"
    if not sealed.opens(key, secrets.OUT, target.secret):
        what = f"Its secret was stored with another SECRET_KEY: nothing can be sent there. {KEPT}"
        found.append(fail(what, TARGET, where))
    if not sealed.opens(key, secrets.IN, target.inbound_secret):
        what = "Its inbound secret was stored with another SECRET_KEY: acknowledgements do not come back."
        found.append(fail(what, INBOUND, where))
    return found


def of_hooks(key: str, hooks: list[Hook]) -> list[Finding]:
    lost = [one for one in hooks if not sealed.opens(key, change_hooks.SECRETS, one.secret)]
    what = "Its secret was stored with another SECRET_KEY: what it tells of changes is refused."
    return [fail(what, HOOK, f"hook {one.name}") for one in lost]


def of_alertmanager(key: str, target: AlertmanagerTarget | None) -> list[Finding]:
    if target is None or sealed.opens(key, copying.SECRETS, target.address):
        return []
    return [fail("The address of Alertmanager was stored with another SECRET_KEY: silences are not written back.", AM)]


def old(key: str, everything: list[tuple[str, str]]) -> list[Finding]:
    """What only a key of SECRET_KEYS_ACCEPTED opens: it is lost with that."""
    first = keys_of(key)[0]
    times = sum(
        sealed.opens(key, purpose, stored) and not sealed.opens(first, purpose, stored)
        for purpose, stored in everything
    )
    if not times:
        return []
    return [note(f"{times} stored secrets open with a key of SECRET_KEYS_ACCEPTED, not with SECRET_KEY.", RESEAL)]


def of_people(lost: list[str]) -> list[Finding]:
    if not lost:
        return []
    shown = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
    return [fail(f"Codes were stored with another SECRET_KEY and cannot be checked: {shown}.", CODES)]


CHECK = Check(
    "secret_key",
    "What is stored encrypted opens with SECRET_KEY",
    needs="database",
    run=run,
    every_s=60,
    limit_s=10,
)
