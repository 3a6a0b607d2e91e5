"""Asks the gate: reads what it has to know from the picture and the database, and applies the rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from server.changes import store as changes
from server.changes import target_store
from server.gate import store
from server.gate.answer import Facts, GateAnswer, Override, Postmortem, Question, RolledBack, SpentHour
from server.gate.rule import gate
from server.kernel.errors import ApiError
from server.kernel.names import OWN
from server.live import store as live_store
from server.slo.model.objective import Objective
from server.slo.model.status import ObjectiveStatus
from server.slo.policy import store as policy_store

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.parts import Parts
    from server.picture.relay import Relay
    from server.slo.policy.policies import Policies

# A revision is the act of somebody who says why, and both are written down: of one that is made while a page of
# Evenkeel fires and is acknowledged, that page is taken to be why.
REVISION = Question(OWN, "revision", reason="incident")
SENDING_S = 28 * 86_400.0  # who has sent within it gets a provisional objective


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """What the database says of a service, and of the version asked about."""

    overrides: Sequence[Override] = ()
    postmortems: Sequence[Postmortem] = ()
    spending: dict[str, list[SpentHour]] = field(default_factory=dict)
    rolled_back: RolledBack | None = None
    paused_by: str = ""
    going_back: bool = False
    awaited: bool = False  # its provisional objective is about to begin
    sends: bool = False  # it has sent in the window of its objectives


async def ask(parts: Parts, question: Question, now: float) -> GateAnswer:
    """The gate's answer now. ApiError NOT_FOUND for a service that nobody knows."""
    async with parts.db.ask() as connection:
        await require_known(parts, connection, question.service)
        record = await read_record(connection, parts.policies, question, now)
    return decide(parts.relay, parts.policies, question, record, now)


def decide(relay: Relay, policies: Policies, question: Question, record: ServiceRecord, now: float) -> GateAnswer:
    """Apply the rule to the live picture and what was read from the database."""
    live = live_facts(relay, question.service, now)
    held = any(each.service == question.service for each in policies.objectives)
    facts = replace(
        live,
        uncounted=uncounted(live.objectives, held, record),
        overrides=record.overrides,
        postmortems=record.postmortems,
        spending=record.spending,
        rolled_back=record.rolled_back,
        paused_by=record.paused_by,
        going_back=record.going_back,
    )
    return gate(question, facts, policies.budget_policy, now)


def uncounted(objectives: Sequence[ObjectiveStatus], held: bool, record: ServiceRecord) -> bool:
    """Whether what the service sent is not in the picture yet: it has, or is getting, an objective that was not
    evaluated, or one that was evaluated before anything was kept."""
    if not objectives:
        return held or (record.awaited and record.sends)
    return record.sends and not all(one.any_counted or one.recounting for one in objectives)


def live_facts(relay: Relay, service: str, now: float) -> Facts:
    """What the picture says. Its age counts from the last evaluation of objectives and alerts, either of which may
    have stopped while pictures come."""
    picture, status, age = relay.picture, relay.status, relay.age_s(now)
    if picture is None or status is None or age is None:
        return Facts(None)
    return Facts(
        age + max(picture.behind_s, picture.at - status.evaluated_at),
        [each for each in status.objectives if each.service == service],
        [alert for alert in relay.alerts if alert.service == service],
    )


async def read_record(connection: AsyncConnection, policies: Policies, question: Question, now: float) -> ServiceRecord:
    """What the answer needs beyond the picture; `version` only for a deploy."""
    held = [each for each in policies.objectives if each.service == question.service]
    version = question.version if question.kind == "deploy" else ""
    undone = await changes.rolled_back(connection, question.service, version) if version else None
    return ServiceRecord(
        overrides=await store.active(connection, question.service),
        postmortems=await spent_by_alerts(connection, policies, held, now),
        spending=await spending(connection, held, now),
        rolled_back=None if undone is None else rolled_back(undone),
        paused_by=await target_store.paused_by(connection, question.service) if question.kind == "deploy" else "",
        going_back=bool(version) and await changes.older_than_running(connection, question.service, version),
        awaited=policies.awaits(question.service),
        sends=await policy_store.sends(connection, question.service, window_begins(held, now)),
    )


def window_begins(held: Sequence[Objective], now: float) -> float:
    """When the shortest window of these began, Unix seconds; where there is none, how far back a sender is known."""
    return max((each.begins(now) for each in held), default=now - SENDING_S)


def rolled_back(change: changes.Change) -> RolledBack:
    """Who took it out, and in which incident."""
    detail = change.detail if isinstance(change.detail, dict) else {}
    return RolledBack(change.author, change.at, detail.get("incident"))


async def spent_by_alerts(
    connection: AsyncConnection, policies: Policies, held: Sequence[Objective], now: float
) -> list[Postmortem]:
    """The alerts that ask for a postmortem, of the longest window."""
    if not held:
        return []
    since = min(each.begins(now) for each in held)
    names = [each.name for each in held]
    return await store.spent_by_alerts(connection, names, since, float(policies.budget_policy.postmortem_share))


async def spending(connection: AsyncConnection, held: Sequence[Objective], now: float) -> dict[str, list[SpentHour]]:
    """By objective, the hours of its window that had failures."""
    if not held:
        return {}
    found = await store.spent_hours(connection, {each.id: each.begins(now) for each in held})
    return {each.name: found[each.id] for each in held}


async def require_known(parts: Parts, connection: AsyncConnection, service: str) -> None:
    """ApiError NOT_FOUND where nothing was ever heard of it: a typing error in a pipeline must not pass as allow."""
    if any(each.service == service for each in parts.policies.objectives):
        return
    if parts.relay.service(service) is not None:
        return
    if "\0" in service or not await live_store.exists(connection, service):
        detail = (
            f"No outcome of a service named {service} has come, and no objective names it, so the gate has no answer. "
            "Check the name: /api/v1/services lists those that send."
        )
        raise ApiError("NOT_FOUND", detail)


async def revision_denied(parts: Parts, connection: AsyncConnection, now: float) -> str | None:
    """Why the gate denies revisions; None where it allows them or does not know: then the settings stay open."""
    record = await read_record(connection, parts.policies, REVISION, now)
    answer = decide(parts.relay, parts.policies, REVISION, record, now)
    return answer.reason if answer.answer == "deny" else None
