"""Pulls a lever, or rolls back, in the transaction of who asks: revision, audit and change stand or fall with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from server.config import staging, store
from server.config.lever import LeverAsked, LeverBy, LeverDone, Lowered, WentBack
from server.config.registry import SETTINGS
from server.config.revisions import ALL, Entry, Revision, changed, key_id_of, resolve, temporary, unexpired
from server.config.saving import RevisionAct, Saved
from server.config.service import begun, check_key, checked_minutes, checked_values, rolled_back
from server.kernel.errors import invalid
from server.kernel.text import ago

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.parts import Parts

LOOKED_BACK = 50  # revisions, for who made an entry
ONE_PRESS_S = 60.0  # the same value asked for within so long is one press, and no wish to have it last longer


async def pull(parts: Parts, connection: AsyncConnection, asked: LeverAsked, by: LeverBy) -> LeverDone:
    """Do it; nobody else changes the settings until the transaction ends. ApiError as of Config's own acts."""
    if isinstance(asked, Lowered):
        checked_values({asked.setting: asked.value}, asked.minutes)
        checked_minutes(asked.minutes)
        key_id_of(asked.scope)
    act = await begun(parts, connection, by.actor, by.request_id, by.incident)
    if isinstance(asked, WentBack):
        saved = await rolled_back(act, asked.from_, asked.to, by.reason)
        return done(saved, f"Configuration rolled back to {saved.restores}")
    return await lower(act, asked, by.reason)


async def lower(act: RevisionAct, asked: Lowered, reason: str) -> LeverDone:
    """Tighten one setting; ApiError INVALID where the value is looser than what is in force."""
    if asked.scope != ALL:
        await check_key(act, asked.scope)
    setting = SETTINGS[asked.setting]
    here = resolve(unexpired(act.current.entries, act.now), act.environment, asked.setting, asked.scope)
    until = act.now + asked.minutes * 60
    if here.value == asked.value and (here.until is None or here.until > until - ONE_PRESS_S):
        return LeverDone(True, await already(act, asked))
    if setting.lets_in(asked.value) > setting.lets_in(here.value):
        shown = setting.shown(here.value)
        raise invalid("value", f"lets in more than {shown}, which is in force; Config raises it. Nothing was done.")
    held = temporary(act.current.entries, asked.setting, asked.scope)
    if held is not None and held.until is not None:
        until = max(until, held.until)  # to end what it replaces sooner would raise the limit then
    made = partial(changed, values={asked.setting: asked.value}, scope=asked.scope, until=until)
    staged = await store.live_staged(act.connection)
    if staged is not None:
        saved = await staging.tighten(act, staged, made, reason, "config.change")
    else:
        entries = made(unexpired(act.current.entries, act.now))
        saved = await act.save(entries, kind="change", reason=reason, action="config.change")
    return done(saved, f"For {round((until - act.now) / 60)} min")


def done(saved: Saved, what: str) -> LeverDone:
    """In words: `For 30 min: batch items 1000 -> 100, revision 15`."""
    if saved.already:
        return LeverDone(True, saved.message)
    words = ", ".join(one.text for one in saved.differences)
    return LeverDone(
        False, f"{saved.message} {what}: {words}.", f"{what}: {words}, revision {saved.revision}", saved.revision
    )


async def already(act: RevisionAct, asked: Lowered) -> str:
    """`Already lowered to 100 by mira, 4 s ago.`, or what else makes it so."""
    title, shown = SETTINGS[asked.setting].title, SETTINGS[asked.setting].shown(asked.value)
    entry = next((one for one in act.current.entries if is_of(one, asked)), None)
    maker = None if entry is None else made_by(await store.newest(act.connection, LOOKED_BACK), entry)
    if maker is None:
        return f"Nothing to change: {title} is {shown} already."
    return f"Already {title} {shown} by {maker.author}, {ago(act.now - maker.at)}."


def is_of(entry: Entry, asked: Lowered) -> bool:
    """Whether an entry gives this setting this value here."""
    return (entry.setting, entry.value) == (asked.setting, asked.value) and entry.scope in (asked.scope, ALL)


def made_by(newest_first: list[Revision], entry: Entry) -> Revision | None:
    """The revision that an entry came with; None: it is older than these."""
    having = [one for one in newest_first if entry in one.entries]
    return having[-1] if having and len(having) < len(newest_first) else None
