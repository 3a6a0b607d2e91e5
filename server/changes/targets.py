"""Deploy targets as people set them up, and what is known of a service's deploys. Secrets are in no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from server.auth.audit_store import audit
from server.changes import target_store
from server.changes.adapters import ADAPTERS, AdapterName
from server.changes.adapters.adapter import NotNow, Refused, Way, by_hand
from server.changes.target import DeployFacts, DeployOrder, DeployTarget
from server.kernel import sealed, shared_clock
from server.kernel.errors import ApiError
from server.kernel.times import Instant

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.kernel.settings import Environment

SECRETS = "secrets of deploy targets"
LOST = "its secret cannot be opened, SECRET_KEY has changed: set it up again"


class DeployTargetRequest(Struct, forbid_unknown_fields=True):
    """Where the deploys of a service are paused and rolled back. `address` is the name of an app at Heroku, or a URL;
    `secret` a token of Heroku's with the scope write, or what signs the webhook: left out, one is made."""

    service: Annotated[str, Meta(min_length=1, max_length=200)]
    kind: AdapterName
    address: Annotated[str, Meta(min_length=1, max_length=2000)]
    secret: Annotated[str, Meta(max_length=500)] = ""


class DeployTargetView(Struct):
    """A deploy target without its secret; of a URL only the host is shown."""

    service: str
    kind: str
    address: str
    can: list[str]
    created_by: str
    created_at: Instant


class DeployTargetMade(Struct):
    """`secret` is what its webhooks are signed with, where it was made here: shown this once."""

    target: DeployTargetView
    secret: str | None


class Probed(Struct):
    """Whether token and target would work now, and what is in the way."""

    ok: bool
    message: str


def view(target: DeployTarget) -> DeployTargetView:
    """What is shown of one."""
    adapter = ADAPTERS.get(target.kind)
    address = adapter.shown_address(target.address) if adapter else "…"
    can = [str(one) for one in sorted(adapter.can)] if adapter else []
    return DeployTargetView(target.service, target.kind, address, can, target.created_by, target.created_at)


async def put(
    connection: AsyncConnection, env: Environment, asked: DeployTargetRequest, actor: str, request_id: str
) -> DeployTargetMade:
    """Set one up, in the place of the one that the service had; ApiError INVALID names the field that is wrong."""
    adapter = ADAPTERS[asked.kind]
    address = adapter.checked_address(asked.address.strip(), private=env.notify_allow_private)
    given = asked.secret.strip()
    made = "" if given else adapter.new_secret()
    secret = sealed.seal(env.secret_key, SECRETS, made or adapter.checked_secret(given))
    found = await target_store.put(
        connection, asked.service, kind=adapter.name, address=address, secret=secret, by=actor
    )
    shown = view(found)
    after = {"kind": shown.kind, "address": shown.address}
    await audit(connection, actor, "deploy_target.put", asked.service, None, after, request_id)
    return DeployTargetMade(shown, made or None)


async def required(connection: AsyncConnection, service: str) -> DeployTarget:
    """The one of a service; ApiError NOT_FOUND."""
    found = await target_store.of_service(connection, service)
    if found is None:
        raise ApiError("NOT_FOUND", f"{service[:200]} has no deploy target. Nothing was done.")
    return found


async def remove(connection: AsyncConnection, service: str, actor: str, request_id: str) -> None:
    """Forget one and its secret; ApiError NOT_FOUND."""
    if not await target_store.remove(connection, service):
        raise ApiError("NOT_FOUND", f"{service[:200]} has no deploy target. Nothing was done.")
    await audit(connection, actor, "deploy_target.remove", service, None, None, request_id)


async def deploy_facts(connection: AsyncConnection, service: str) -> DeployFacts:
    """What is known of the deploys of a service."""
    version, migration, before = await target_store.running(connection, service)
    target = await target_store.of_service(connection, service)
    adapter = ADAPTERS.get(target.kind) if target else None
    order = DeployOrder("", "roll_back", service, "", 0, before, version)
    command = adapter.command(target.address, order) if adapter and target else by_hand(before, version)
    return DeployFacts(
        service,
        version,
        before,
        migration,
        adapter.title if adapter else "",
        adapter.can if adapter else frozenset(),
        command if before else "",
        await target_store.paused_by(connection, service),
    )


def way_to(env: Environment, target: DeployTarget) -> Way:
    """The target with its secret in the open. Raises Refused where that cannot be opened."""
    try:
        secret = sealed.opened(env.secret_key, SECRETS, target.secret)
    except sealed.Unreadable:
        raise Refused(LOST) from None
    return Way(target, secret, env.notify_allow_private)


async def probe(env: Environment, target: DeployTarget) -> Probed:
    """Look whether it would work, changing nothing there."""
    adapter = ADAPTERS.get(target.kind)
    if adapter is None:
        return Probed(False, "this version of Evenkeel does not know its kind")
    try:
        wrong = await adapter.probe(way_to(env, target), shared_clock.now())
    except (Refused, NotNow) as error:
        wrong = str(error)
    return Probed(not wrong, wrong or f"{adapter.title} would do it.")
