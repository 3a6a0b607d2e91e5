"""A policy is put in force: as a revision with its change and its audit entry, in one transaction.

During a deploy, and after a crash of an old process, several releases start side by side, each with its own
file. A text that is new is put in force by whoever brings it first. One that was superseded comes back only
where somebody asks for it: by the release phase, the command, a signal, or a change of the file.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from server.auth.audit_store import audit
from server.changes import store as changes
from server.kernel.names import HOST, OWN
from server.slo.model.objective import Policy, PolicyError
from server.slo.policy import store
from server.slo.policy.differences import PolicyDifference, differences
from server.slo.policy.file import digest_of
from server.slo.policy.policy import parse
from server.slo.policy.store import PolicyRevision

log = logging.getLogger("evenkeel.slo")

Adopted = Literal["stored", "in force already", "superseded"]

SHOWN = 5  # differences in a sentence


async def adopt(connection: AsyncConnection, source: str, *, author: str, asked: bool) -> Adopted:
    """Put a policy in force; its text can be used. `asked`: also one that was superseded.

    Processes that start at once take turns, so that one file makes one revision.
    """
    policy, digest = await asyncio.to_thread(parse, source), digest_of(source)
    await store.lock(connection)
    current = await store.newest(connection)
    if current.digest == digest:
        return "in force already"
    if not asked and (await store.was_in_force(connection, digest) or await asyncio.to_thread(newer, current)):
        return "superseded"
    number = current.number + 1
    await store.add(connection, number, source, digest, HOST)
    await store.begin_ledgers(connection, policy.objectives)
    if current.number:
        await record(connection, current, number, policy, author)
    return "stored"


def newer(current: PolicyRevision) -> bool:
    """Whether a newer version of Evenkeel has put a policy in force that this one cannot read."""
    try:
        parse(current.source)
    except PolicyError:
        return bool(current.number)
    return False


async def record(connection: AsyncConnection, before: PolicyRevision, number: int, policy: Policy, author: str) -> None:
    """Write the change and the audit entry."""
    found = await asyncio.to_thread(differences_from, before, policy)
    texts = [one.text for one in found]
    services = sorted({one.service for one in found} - {""})
    detail = {"differences": texts, "services": services, "before": before.number}
    summary = summary_of(texts)
    await changes.record(connection, "policy", OWN, str(number), summary, author=author, detail=detail)
    subject, was = f"policy revision {number}", {"policy": before.number}
    await audit(connection, author, "policy.adopt", subject, was, {"policy": number, "differences": texts})


def differences_from(before: PolicyRevision, policy: Policy) -> list[PolicyDifference]:
    """What the policy changes of the revision before; nothing where this version cannot read that one."""
    try:
        return differences(parse(before.source), policy)
    except PolicyError as error:
        log.warning("what policy revision %d said cannot be read by this version: %s", before.number, error)
        return []


def summary_of(texts: list[str]) -> str:
    """The first differences in a sentence."""
    more = [f"and {len(texts) - SHOWN} more"] if len(texts) > SHOWN else []
    return "; ".join([*texts[:SHOWN], *more]) or "no objective changed"
