"""What has been done from a room, each with its receipts, its undo, and what fails since."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from msgspec import Struct

from dashboard.incidents.offers import ActOffer, going_back
from dashboard.shared.since import COUNTED, SHOWN_S, Asked, since_known, took_effect
from server.changes.store import Change
from server.changes.target import WORDS
from server.config.view import ConfigView
from server.incidents.incident import DeployAct, DeployActState
from server.incidents.suspect_answer import SuspectsAnswer
from server.parts import Parts
from server.slo.model.since_act import SinceAct

SHOWN = 6
COUNTED_MOST = 2  # the newest of them: what came before is within what they are compared with
STATES: dict[DeployActState, str] = {
    "waiting": "under way",
    "by_hand": "type it, then mark it done",
    "done": "done",
    "failed": "failed",
}


class DoneAct(Struct):
    """One act. `at` in Unix seconds, `receipts` in words, `troubles` what is wrong with them; `deploy` and `command`
    are of a roll back that waits for a person. `counts_from`: since when what fails is counted; None: it is not."""

    key: str
    text: str
    by: str
    at: float
    receipts: str
    troubles: list[str] = []
    deploy: int = 0
    command: str = ""
    undo: ActOffer | None = None
    counts_from: float | None = None
    change: Change | None = None  # as which it stands among the changes, where it is one that is counted since
    since: SinceAct | None = None
    undid: tuple[str, str] | None = None  # the version or the revision that it took away, as a suspect names it
    waits: bool = False  # for a person to do it by hand: it is not done yet


def done_acts(
    revisions: Iterable[Change], deploys: Iterable[DeployAct], config: ConfigView | None, changes: Iterable[Change]
) -> list[DoneAct]:
    """Those that wait for a person, then the newest first; `changes` are what roll backs stand as, among others."""
    known = {one.id: one for one in changes}
    found = [of_revision(one, config) for one in revisions] + [
        of_deploy(one, known.get(one.change_id or 0)) for one in deploys
    ]
    return sorted(found, key=lambda one: (one.waits, one.at, one.key), reverse=True)[:SHOWN]


def of_revision(change: Change, config: ConfigView | None) -> DoneAct:
    """A change of the settings, with how far it has come while nothing has taken its place."""
    detail, at = change.detail, change.at.timestamp()
    words = ", ".join(one["text"] for one in detail["differences"])
    back = f"Rolled back to {detail['restores']}: " if detail["kind"] == "rollback" else ""
    done = DoneAct(f"revision-{change.version}", f"{back}{words}", change.author, at, f"revision {change.version}")
    done.counts_from, done.change = took_effect(change), change
    done.undid = ("revision", str(int(change.version) - 1)) if back else None
    if config is None or config.revision.revision < int(change.version):  # what is in force was read before it
        return done
    if config.revision.revision > int(change.version):
        done.receipts += f", then {config.revision.revision} by {config.revision.author}"
        return done
    done.receipts += f" in {config.progress.text}"
    done.troubles = [one.text for one in config.progress.stragglers + config.progress.gone]
    if config.rollback is not None:
        values = ", ".join(one.text for one in config.rollback.differences)
        done.undo = going_back(config.rollback, f"Undo: {values}")
    return done


def of_deploy(act: DeployAct, change: Change | None) -> DoneAct:
    """A deploy paused, resumed or rolled back."""
    versions = f"{act.service} {act.rolls_back} -> {act.version}"
    text = f"Roll back {versions}" if act.act == "roll_back" else f"{WORDS[act.act]} deploys of {act.service}"
    done = DoneAct(f"deploy-{act.id}", text, act.asked_by, act.asked_at, act.receipt or STATES[act.state])
    done.troubles = [act.error] if act.error else []
    done.waits = act.state == "by_hand"
    if act.act == "roll_back" and act.state in ("by_hand", "failed"):
        done.deploy, done.command = act.id, act.command
    if act.act == "roll_back" and act.state == "done":
        done.undid = ("version", act.rolls_back)
    if change is not None:
        done.counts_from, done.change = took_effect(change), change
    return done


def receipts_of(suspects: SuspectsAnswer | None, done: Iterable[DoneAct]) -> dict[str, DoneAct]:
    """The newest act that took a suspect away, by the number of its cause and its own, from 1: `1-1`."""
    undid = {one.undid: one for one in reversed(list(done)) if one.undid is not None}
    return {
        f"{outer}-{inner}": undid[said]
        for outer, cause in enumerate(suspects.causes if suspects else [], 1)
        for inner, one in enumerate(cause.suspects, 1)
        for said in one.values.items()
        if said in undid
    }


async def counted(
    parts: Parts,
    acts: Sequence[DoneAct],
    of: Asked | None,
    now: float,
    *,
    changes: Sequence[Change],
    onsets: Sequence[float],
) -> list[DoneAct]:
    """The same, the newest that may have changed what fails with what fails since. `onsets` are of its outages."""
    if of is None:
        return list(acts)
    meant = [
        (one, since_known(one.change, one.counts_from, of, changes, onsets))
        for one in acts
        if one.change is not None and one.counts_from is not None and now - one.counts_from < SHOWN_S
    ][:COUNTED_MOST]
    found = await asyncio.gather(*(COUNTED.get(parts, asked) for _, asked in meant))
    for (one, _), since in zip(meant, found, strict=True):
        one.since = since
    return list(acts)
