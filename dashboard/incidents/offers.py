"""What can be done from a room in one press: each says before what it will do, and carries the fields of its act."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct

from dashboard.config.refusals import would_refuse
from dashboard.shared.format import number
from dashboard.shared.memo import Memo, Memos
from server.alerts.alert import Alert
from server.changes.target import DeployFacts
from server.config.differences import Offer
from server.config.registry import SETTINGS, Limits, Value
from server.config.view import ConfigView
from server.incidents.incident import DeployAct, Incident
from server.incidents.runbook import StepAct
from server.incidents.steps import EVERY_KEY
from server.incidents.suspect_answer import SuspectAnswer, SuspectsAnswer
from server.ingest.preview_store import KeyRate
from server.ingest.surge import rates, surging
from server.kernel import shared_clock
from server.kernel.text import plural
from server.parts import Parts

MINUTES = 30
SILENT_MINUTES = 60
# What a limit is lowered to: so many times smaller than what is in force.
LOWER = {"lower_batch_items": ("INGEST_MAX_BATCH_ITEMS", 10), "lower_body_bytes": ("MAX_REQUEST_BODY_BYTES", 4)}
SLOWER = 2  # a throttle halves what comes, where nobody surges
RATE = "INGEST_MAX_ITEMS_PER_SECOND"


class ActOffer(Struct):
    """One button. `preview` says what it will do; with a `warning` it is pressed twice, and with `asks_why` a reason is
    given."""

    act: str
    label: str
    fields: dict[str, str | int]
    preview: str = ""
    warning: str = ""
    asks_why: bool = False


class Situation(Struct):
    """What offers are made from; None: not known just now. `limits` are in force for a key, or for EVERY_KEY."""

    incident: Incident
    alerts: Sequence[Alert]  # those that are open
    deploys: DeployFacts | None
    acted: Sequence[DeployAct]
    config: ConfigView | None
    limits: Callable[[int], Limits]
    rates: Sequence[KeyRate]
    keys: Mapping[int, str]  # names
    made_here: Collection[int]  # the revisions that were made in this incident


async def read_rates(parts: Parts) -> list[KeyRate]:
    async with parts.db.ask() as connection:
        return await rates(connection, shared_clock.now())


async def read_refused(parts: Parts, asked: tuple[str, Value, int]) -> str:
    name, value, key_id = asked
    return await would_refuse(parts, SETTINGS[name], value, key_id, shared_clock.now())


RATES = Memo(read_rates, kept_s=5)
REFUSED = Memos(read_refused, kept_s=5)


def offers(here: Situation, able: Collection[StepAct]) -> dict[StepAct, list[ActOffer]]:
    """The acts that can work, each with its buttons."""
    found = {act: offers_of(act, here) for act in able}
    return {act: some for act, some in found.items() if some}


def offers_of(act: StepAct, here: Situation) -> list[ActOffer]:
    """The buttons of one act; none where it cannot work just now."""
    if act in ("pause_deploys", "roll_back_deploy"):
        return deploy_offers(act, here)
    if act == "roll_back_config":
        return config_offers(here)
    if act in LOWER:
        return lower_offers(act, here)
    if act == "throttle":
        return throttle_offers(here)
    if act == "rollups_only":
        label, kept = f"Rollups only for {MINUTES} min", here.limits(EVERY_KEY).ingest_store_outcomes
        return [ActOffer(act, label, {"minutes": MINUTES})] if kept else []
    return alert_offers(act, here)


def deploy_offers(act: StepAct, here: Situation) -> list[ActOffer]:
    deploys = here.deploys
    if deploys is None:
        return []
    if act == "pause_deploys":
        preview = f"The gate denies deploys of {deploys.service} until they are resumed or this is closed."
        return [ActOffer(act, "Pause deploys", {"service": deploys.service}, preview)] if not deploys.paused_by else []
    return [roll_back(here, deploys, deploys.before)] if deploys.before and not under_way(here) else []


def under_way(here: Situation) -> bool:
    """Whether a roll back of the service has been asked for and has not ended."""
    return any(one.act == "roll_back" and one.state in ("waiting", "by_hand") for one in here.acted)


def roll_back(here: Situation, deploys: DeployFacts, version: str) -> ActOffer:
    """Take what runs out of production."""
    told = f"{deploys.kind} is told" if "roll_back" in deploys.can else "The command to type is shown"
    return ActOffer(
        "roll_back_deploy",
        f"Roll back to {version}",
        {"service": deploys.service, "version": version, "rolls_back": deploys.running},
        f"{told}; {deploys.running} stays barred at the gate.",
        deploys.warning,
    )


def config_offers(here: Situation) -> list[ActOffer]:
    """Back to the revision before, unless this incident has made what is in force: that is undone where it stands."""
    config = here.config
    if config is None or config.rollback is None or config.rollback.undo or config.revision.revision in here.made_here:
        return []
    return [going_back(config.rollback)]


def going_back(offer: Offer, label: str = "") -> ActOffer:
    """What Config offers, as an act."""
    return ActOffer("roll_back_config", label or offer.label, {"from": offer.from_, "to": offer.to})


def lower_offers(act: StepAct, here: Situation) -> list[ActOffer]:
    """For all, and first for the key that surges."""
    surge = surging(here.rates)
    found = [] if surge is None else [lowered(act, here, surge.key_id, who(here, surge))]
    return [one for one in (*found, lowered(act, here, EVERY_KEY, "all senders")) if one is not None]


def lowered(act: StepAct, here: Situation, key_id: int, whose: str) -> ActOffer | None:
    """So many times smaller than what is in force there; None where it is as small as can be."""
    name, times = LOWER[act]
    setting, limit = SETTINGS[name], int(here.limits(key_id).value(name))
    value = max(setting.minimum, limit // times)
    label = f"Lower {setting.title} to {value} for {MINUTES} min, {whose}"
    return ActOffer(act, label, {"value": value, "minutes": MINUTES, **scope(key_id)}) if value < limit else None


def throttle_offers(here: Situation) -> list[ActOffer]:
    """The key that surges to what it sent before; all to half of what the fastest sends."""
    surge, fastest = surging(here.rates), max((one.lately for one in here.rates), default=0.0)
    found = [] if surge is None else [throttled(here, surge, surge.before)]
    value = max(1, round(fastest / SLOWER))
    label = f"Throttle all senders to {number(value)} items/s each for {MINUTES} min"
    if fastest >= 1 and slower(here, EVERY_KEY, value):
        found.append(ActOffer("throttle", label, {"value": value, "minutes": MINUTES}))
    return [one for one in found if one is not None]


def throttled(here: Situation, rate: KeyRate, to: float) -> ActOffer | None:
    """One key, to so many items a second; None where it is held to no more already."""
    value = max(1, round(to))
    if not slower(here, rate.key_id, value):
        return None
    label = f"Throttle {who(here, rate)} to {number(value)} items/s for {MINUTES} min"
    preview = f"It sends {number(rate.lately)} items/s, {number(rate.before)} before."
    return ActOffer("throttle", label, {"value": value, "minutes": MINUTES, **scope(rate.key_id)}, preview)


def slower(here: Situation, key_id: int, value: int) -> bool:
    """Whether a throttle lets in less than the one in force."""
    setting = SETTINGS[RATE]
    return setting.lets_in(value) < setting.lets_in(here.limits(key_id).value(RATE))


def scope(key_id: int) -> dict[str, str | int]:
    """The field of an act that is for one key."""
    return {} if key_id == EVERY_KEY else {"scope": f"key:{key_id}"}


def who(here: Situation, rate: KeyRate) -> str:
    return here.keys.get(rate.key_id, f"key {rate.key_id}")


def alert_offers(act: StepAct, here: Situation) -> list[ActOffer]:
    if act == "acknowledge":
        loud = [alert for alert in here.alerts if alert.acknowledged_at is None]
        label = "Acknowledge" if len(loud) == 1 else f"Acknowledge {plural(len(loud), 'alert')}"
        return [ActOffer(act, label, {}, "Nobody else is told of this.")] if loud else []
    loud = [alert for alert in here.alerts if alert.silence_id is None]
    label = f"Silence for {SILENT_MINUTES} min"
    preview = "Its alerts are shown, and nobody is told."
    return [ActOffer(act, label, {"minutes": SILENT_MINUTES}, preview, asks_why=True)] if loud else []


async def with_previews(parts: Parts, found: dict[StepAct, list[ActOffer]]) -> dict[StepAct, list[ActOffer]]:
    """The same, those on limits with what they would have refused lately."""
    limits = [one for some in found.values() for one in some if setting_of(one)]
    said = await asyncio.gather(*(REFUSED.get(parts, preview_of(one)) for one in limits))
    for one, sentence in zip(limits, said, strict=True):
        one.preview = " ".join(filter(None, (one.preview, sentence)))
    return found


def setting_of(offer: ActOffer) -> str:
    """The setting that an offer lowers; empty: none."""
    if offer.act in LOWER:
        return LOWER[offer.act][0]
    return {"throttle": RATE, "rollups_only": "INGEST_STORE_OUTCOMES"}.get(offer.act, "")


def preview_of(offer: ActOffer) -> tuple[str, Value, int]:
    value = offer.fields.get("value", False)
    key = str(offer.fields.get("scope", "key:0")).removeprefix("key:")
    return setting_of(offer), int(value) if value is not False else False, int(key)


def undoing(here: Situation, suspects: SuspectsAnswer | None) -> dict[str, ActOffer]:
    """The act that would undo a suspect, by the number of its cause and its own, from 1: `1-1`. What undoes several
    stands at the first."""
    found: dict[str, ActOffer] = {}
    for outer, cause in enumerate(suspects.causes if suspects else [], 1):
        for inner, one in enumerate(cause.suspects, 1):
            offer = undo(here, one)
            if offer is not None and offer not in found.values():
                found[f"{outer}-{inner}"] = offer
    return found


def undo(here: Situation, suspect: SuspectAnswer) -> ActOffer | None:
    """What takes one suspect away; None where nothing can from here."""
    values, deploys = suspect.values, here.deploys
    if "revision" in values:
        return undo_revision(here.config, values["revision"])
    if "version" in values:
        runs = deploys is not None and deploys.running == values["version"] and not under_way(here)
        return roll_back(here, deploys, suspect.back_to) if runs and deploys and suspect.back_to else None
    rate = next((one for one in here.rates if here.keys.get(one.key_id) == values.get("key")), None)
    return None if rate is None or rate.lately < 1 else throttled(here, rate, rate.lately / SLOWER)


def undo_revision(config: ConfigView | None, revision: str) -> ActOffer | None:
    """Back to the values before a revision, from what is in force."""
    if config is None:
        return None
    if config.rollback is not None and str(config.rollback.from_) == revision and not config.rollback.undo:
        return going_back(config.rollback)
    before = next((one for one in config.history if str(one.revision + 1) == revision), None)
    return None if before is None or before.rollback is None else going_back(before.rollback)
