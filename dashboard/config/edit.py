"""Changing a setting: the editor, what the value would have refused, and a lost race."""

from __future__ import annotations

from http import HTTPStatus

from msgspec import Struct
from msgspec.structs import replace

from dashboard.config.draft import UNTILS, SettingDraft, minutes_of, raced, read_draft, staging_of, value_of
from dashboard.config.page import read_keys
from dashboard.config.refusals import would_refuse
from dashboard.shared.page import Page
from server.auth.store import ApiKey
from server.config import service
from server.config.registry import SETTINGS
from server.config.revisions import key_id_of
from server.config.saving import Saved
from server.config.staged import StagingAsked, checked_staging, choose
from server.config.view import SettingView, config_view
from server.gate.overrides import OverrideAsked, override
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.kernel.names import OWN
from server.parts import Parts
from server.picture.picture import Picture

OVERRIDE_MINUTES = 15  # enough to save what the gate has just denied


FAULTS = ("INVALID", "CONFLICT", "UNAVAILABLE")  # of a form; another one is staged, or nothing would guard it


class EditView(Struct):
    """The editor on a page of its own."""

    setting: SettingView
    draft: SettingDraft
    keys: list[ApiKey]
    untils: tuple[tuple[str, str], ...] = UNTILS


class EditPage(Page):
    """GET /config/edit: the editor with a preview, for browsers without JavaScript and for links."""

    needs = "act"

    async def get(self) -> None:
        draft = read_draft(self.get_query_argument)
        await show_editor(self, replace(draft, preview=await preview(self.parts, draft)))


class ChangeAct(Page):
    """POST /config/change: save and go back to Config; where that fails, the editor says why and keeps the draft."""

    async def post(self) -> None:
        assert self.identity is not None
        draft = read_draft(self.get_body_argument)
        try:
            saved = await self.change(draft)
        except ApiError as error:
            await self.refused(draft, error)
            return
        self.say(saved.message)
        self.see_other("/config")

    async def change(self, draft: SettingDraft) -> Saved:
        """Save it. Where the gate denies it and a reason to override it was given, that is done first."""
        try:
            return await self.save(draft)
        except ApiError as error:
            if error.code != "GATE_DENIED" or not draft.override.strip():
                raise
        assert self.identity is not None
        asked = OverrideAsked(OWN, "revision", draft.override, OVERRIDE_MINUTES)
        await override(self.parts, self.identity, asked, self.request_id)
        return await self.save(draft)

    async def save(self, draft: SettingDraft) -> Saved:
        assert self.identity is not None
        return await service.change(
            self.parts,
            self.identity,
            expected=draft.expected,
            values={draft.setting: value_of(draft)},
            scope=draft.scope,
            minutes=minutes_of(draft),
            reason=draft.reason,
            stage=staging_of(draft),
            request_id=self.request_id,
        )

    async def refused(self, draft: SettingDraft, error: ApiError) -> None:
        """A fault, a lost race or a deny of the gate is shown in the editor; anything else is an error page."""
        if error.code == "REVISION_CHANGED":
            scope_name = self.parts.auth.key_name(key_id_of(draft.scope)) if draft.scope != "all" else "all"
            draft = raced(draft, error, scope_name)
        elif error.code in FAULTS:
            draft = replace(draft, fault=error.detail)
        elif error.code == "GATE_DENIED":
            draft = replace(draft, denied=str(error.extra["gate"]))
        else:
            raise error
        self.set_status(error.status)
        await show_editor(self, replace(draft, preview=await preview(self.parts, draft)))


class PreviewPart(Page):
    """GET /config/preview: the sentence under an editor's fields, as HTML."""

    needs = "act"

    async def get(self) -> None:
        draft = read_draft(self.get_query_argument)
        self.show("config/preview.html", await preview(self.parts, draft))


async def preview(parts: Parts, draft: SettingDraft) -> str:
    """What the value would have refused, in a sentence; nothing while the value cannot be one."""
    try:
        value, key_id, stage = value_of(draft), key_id_of(draft.scope), staging_of(draft)
    except ApiError:
        return ""
    refused = await would_refuse(parts, SETTINGS[draft.setting], value, key_id, shared_clock.now())
    return f"{refused} {staged_sentence(parts.relay.picture, stage)}" if stage else refused


def staged_sentence(picture: Picture | None, asked: StagingAsked) -> str:
    """`In 1 of 4 processes; promoted after 10 min in which no objective starts to burn, else rolled back.`"""
    live = [one.id for one in picture.processes if one.kind == "web"] if picture else []
    try:
        checked_staging(asked, None)
        chosen = len(choose(live, asked.share))
    except ApiError as error:
        return f"Cannot be staged: {error.extra['errors'][0]['reason']}."
    where = f"In {chosen} of {len(live)} processes"
    return f"{where}; promoted after {asked.bake_minutes} min in which no objective starts to burn, else rolled back."


async def show_editor(page: Page, draft: SettingDraft) -> None:
    """The editor's page, over the settings as they are now."""
    config = await config_view(page.parts, shared_clock.now())
    setting = next(one for one in config.settings if one.name == draft.setting)
    if draft.expected == 0:
        draft = replace(draft, expected=config.revision.revision)
    if page.get_status() == HTTPStatus.OK and not draft.value:
        draft = replace(draft, value=str(setting.in_force.value).lower())
    view = EditView(setting, draft, await read_keys(page.parts))
    page.show("config/edit.html", view, title=f"Edit {setting.title} · Evenkeel", page="config")
