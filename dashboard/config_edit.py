"""Changing a setting: the editor, what the value would have refused, and a lost race."""

from __future__ import annotations

import time
from http import HTTPStatus

from msgspec import Struct
from msgspec.structs import replace

from dashboard.config import read_keys
from dashboard.draft import UNTILS, Draft, minutes_of, raced, read_draft, value_of
from dashboard.page import Page
from dashboard.refusals import would_refuse
from server.auth.keys import ApiKey
from server.config import service
from server.config.revisions import key_id_of
from server.config.view import SettingView, config_view
from server.errors import ApiError
from server.parts import Parts


class EditView(Struct):
    """The editor on a page of its own."""

    setting: SettingView
    draft: Draft
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
            saved = await service.change(
                self.parts,
                self.identity,
                expected=draft.expected,
                values={draft.setting: value_of(draft)},
                scope=draft.scope,
                minutes=minutes_of(draft),
                reason=draft.reason,
                request_id=self.request_id,
            )
        except ApiError as error:
            await self.refused(draft, error)
            return
        self.say(saved.message)
        self.see_other("/config")

    async def refused(self, draft: Draft, error: ApiError) -> None:
        """A fault or a lost race is shown in the editor; anything else is an error page."""
        if error.code == "REVISION_CHANGED":
            scope_name = self.parts.auth.key_name(key_id_of(draft.scope)) if draft.scope != "all" else "all"
            draft = raced(draft, error, scope_name)
        elif error.code == "INVALID":
            draft = replace(draft, fault=error.detail)
        else:
            raise error
        self.set_status(error.status)
        await show_editor(self, replace(draft, preview=await preview(self.parts, draft)))


class PreviewPart(Page):
    """GET /config/preview: the sentence under an editor's fields, as HTML."""

    needs = "act"

    async def get(self) -> None:
        draft = read_draft(self.get_query_argument)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.show("config/preview.html", await preview(self.parts, draft))


async def preview(parts: Parts, draft: Draft) -> str:
    """What the value would have refused, in a sentence; nothing while the value cannot be one."""
    try:
        value, key_id = value_of(draft), key_id_of(draft.scope)
    except ApiError:
        return ""
    return await would_refuse(parts, draft.setting, value, key_id, time.time())


async def show_editor(page: Page, draft: Draft) -> None:
    """The editor's page, over the settings as they are now."""
    config = await config_view(page.parts, time.time())
    setting = next(one for one in config.settings if one.name == draft.setting)
    if draft.expected == 0:
        draft = replace(draft, expected=config.revision.revision)
    if page.get_status() == HTTPStatus.OK and not draft.value:
        draft = replace(draft, value=str(setting.in_force.value).lower())
    view = EditView(setting, draft, await read_keys(page.parts))
    page.show("config/edit.html", view, title=f"Edit {setting.title} · Evenkeel", page="config")
