"""Config: what is in force, how far it has come, and one click back."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from dashboard.config.draft import UNTILS, SettingDraft
from dashboard.config.refusals import Effect, effects
from dashboard.setup.keys import has_ended
from dashboard.shared.live import Ask, LivePage, live_page
from dashboard.shared.memo import Memo
from dashboard.shared.page import Page
from dashboard.shared.since import SINCE, since_asked
from server.alerts.order import open_by_service
from server.auth.store import ApiKey, list_keys
from server.config.view import ConfigView, config_view
from server.kernel import shared_clock
from server.kernel.names import OWN
from server.parts import Parts
from server.slo.model.since_act import SinceAct

SERVICES = 3  # whose failures since an act are told
UNDER_WAY_S = 30.0  # a revision that is not complete by then has stragglers, which are named
VERBS = {"rollback": "Rolling back", "change": "Applying", "expiry": "Applying"}


class ConfigPageView(Struct):
    """The page. `config` None: it cannot be read just now, and `revision` is what this process enforces."""

    config: ConfigView | None
    revision: int
    effects: dict[str, Effect]  # by setting; empty: they cannot be read just now
    keys: list[ApiKey]  # those that a value can be limited to
    drafts: dict[str, SettingDraft]  # what each editor begins with
    since: dict[str, SinceAct]  # by service, what fails since the newest act; those with an alert, else our own
    under_way: str  # `Rolling back, 2 of 4`; empty once it is done
    untils: tuple[tuple[str, str], ...] = UNTILS


async def read_config(parts: Parts) -> ConfigView:
    return await config_view(parts, shared_clock.now())


async def read_keys(parts: Parts) -> list[ApiKey]:
    async with parts.db.act() as connection:
        keys = await list_keys(connection)
    return [key for key in keys if not has_ended(key) and "ingest" in key.scopes and key.created_by != OWN]


CONFIG = Memo(read_config, kept_s=5)  # read anew each time here; Now, which shows a part of it, needs no more
KEYS = Memo(read_keys, kept_s=5)
EFFECTS = Memo(effects, kept_s=5)


async def config_page(parts: Parts, ask: Ask, now: float) -> ConfigPageView:
    """The page, each second anew: receipts arrive within it."""
    config = await CONFIG.get(parts, now)
    return ConfigPageView(
        config=config,
        revision=parts.settings.revision,
        effects=await EFFECTS.get(parts) or {},
        keys=await KEYS.get(parts) or [],
        drafts=drafts(config) if config else {},
        since=await since_acts(parts),
        under_way=under_way(config, now) if config else "",
    )


async def since_acts(parts: Parts) -> dict[str, SinceAct]:
    """What fails since the newest act, of the services with an alert, else of our own."""
    open_ = open_by_service(parts.relay.alerts)
    asked = [since_asked(alerts[0]) for alerts in open_.values()][:SERVICES] or [(OWN, 0.0, None)]
    found = await asyncio.gather(*(SINCE.get(parts, each) for each in asked))
    return {each[0]: one for each, one in zip(asked, found, strict=True) if one is not None}


def drafts(config: ConfigView) -> dict[str, SettingDraft]:
    """Each editor as it opens: the value in force for all, on top of the revision in force."""
    seen = config.revision.revision
    return {one.name: SettingDraft(one.name, str(one.in_force.value).lower(), seen) for one in config.settings}


def under_way(config: ConfigView, now: float) -> str:
    """What is happening just now, in words; nothing once every process has applied it or is overdue."""
    progress, promoted = config.progress, config.staged is not None and config.staged.state == "promoted"
    since = config.staged.at if config.staged is not None and promoted else config.revision.at
    if progress.complete or now - since.timestamp() > UNDER_WAY_S:
        return ""
    verb = "Promoting" if promoted else VERBS[config.revision.kind]
    return f"{verb}, {progress.applied} of {progress.of}"


def config_title(view: ConfigPageView) -> str:
    return f"{view.under_way} · Config · Evenkeel" if view.under_way else "Config · Evenkeel"


CONFIG_PAGE = live_page(
    LivePage(
        name="config",
        template="config.html",
        context=config_page,
        regions={
            "config-head": "config/head.html",
            "config-settings": "config/settings.html",
            "config-receipts": "config/receipts.html",
            "config-history": "config/history.html",
        },
        wakes=("config", "receipt"),
        title="Config · Evenkeel",
        titles=config_title,
    )
)


class ConfigPage(Page):
    """GET /config."""

    async def get(self) -> None:
        await self.show_live(CONFIG_PAGE)
