"""What somebody is about to set: the fields of an editor, as typed, and what came of the last try."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct

from server.config.registry import SETTINGS, Value, number
from server.config.saving import RevisionSummary
from server.config.staged import StagingAsked
from server.kernel.errors import ApiError, invalid

UNTILS = (("15", "15 min"), ("30", "30 min"), ("60", "60 min"), ("", "until changed"))
MINUTES = tuple(minutes for minutes, _ in UNTILS)
LONGEST = 600  # characters of any field; the service says which bounds really hold

Field = Callable[[str, str], str]  # a field's text by name, and the default


class Race(Struct):
    """A lost race: what others saved meanwhile, oldest first, and what was asked for."""

    in_force: int
    theirs: list[RevisionSummary]
    mine: str


class SettingDraft(Struct):
    """One editor. `value` is text, `minutes` one of UNTILS, `expected` the revision that was seen in force."""

    setting: str
    value: str
    expected: int
    scope: str = "all"
    minutes: str = "30"
    reason: str = ""
    stage: str = ""  # staged; empty: at once
    share: str = "25"  # percent of the processes
    bake: str = "10"  # minutes
    preview: str = ""
    fault: str = ""
    denied: str = ""  # why the gate denies it; then a reason to override it may be given
    override: str = ""
    race: Race | None = None


def read_draft(field: Field) -> SettingDraft:
    """The draft that a form carries; ApiError INVALID where a field cannot have come from our form."""
    setting, expected, minutes = field("setting", ""), field("expected", "0"), field("minutes", "30")
    if setting not in SETTINGS:
        raise invalid("setting", f"settings are {', '.join(SETTINGS)}")
    seen = number(expected)
    if seen is None:
        raise invalid("expected", "give the number of a revision")
    if minutes not in MINUTES:
        raise invalid("minutes", "choose one of the times offered")
    return SettingDraft(
        setting=setting,
        value=field("value", "")[:LONGEST],
        expected=seen,
        scope=field("scope", "all")[:LONGEST],
        minutes=minutes,
        reason=field("reason", "")[:LONGEST],
        stage="staged" if field("stage", "") else "",
        share=field("share", "25")[:LONGEST],
        bake=field("bake", "10")[:LONGEST],
        override=field("override", "")[:LONGEST],
    )


def value_of(draft: SettingDraft) -> Value:
    """The value that the text means; ApiError INVALID with the bounds."""
    setting = SETTINGS[draft.setting]
    text = draft.value.strip()
    value: Value | None = {"true": True, "false": False}.get(text) if setting.kind == "boolean" else number(text)
    fault = setting.fault(value)
    if value is None or fault is not None:
        raise invalid(setting.title, fault or "give a value")
    return value


def minutes_of(draft: SettingDraft) -> int | None:
    """How long; None: kept."""
    return int(draft.minutes) if draft.minutes else None


def staging_of(draft: SettingDraft) -> StagingAsked | None:
    """How it is staged; None: in force at once. ApiError INVALID for what is not a whole number."""
    if not draft.stage:
        return None
    share, bake = number(draft.share.strip()), number(draft.bake.strip())
    if share is None:
        raise invalid("share", "give a whole percentage of the processes, from 1 to 99")
    if bake is None:
        raise invalid("bake", "give a whole number of minutes")
    return StagingAsked(share / 100, bake)


def raced(draft: SettingDraft, error: ApiError, scope_name: str) -> SettingDraft:
    """The draft after a lost race: on top of what is in force now, with both differences to look at."""
    in_force = int(error.extra.get("in_force", draft.expected))
    theirs = msgspec.convert(error.extra.get("saved", []), list[RevisionSummary])
    setting = SETTINGS[draft.setting]
    mine = f"{setting.title} {setting.shown(value_of(draft))}"
    mine += "" if draft.scope == "all" else f" for {scope_name}"
    mine += f", for {draft.minutes} min" if draft.minutes else ", kept"
    mine += f", staged on {draft.share} % of the processes" if draft.stage else ""
    return msgspec.structs.replace(draft, expected=in_force, race=Race(in_force, theirs, mine))
