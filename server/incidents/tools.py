"""Incidents and suspects, as a language model asks for them; and acts, which it can only propose."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlencode

from msgspec import Meta, Struct

from server.changes.targets import deploy_facts
from server.incidents.acting import alerts_of, check_there, room_of
from server.incidents.answers import IncidentDetail, IncidentsAnswer, LineAnswer
from server.incidents.handlers import IncidentsAsked, detail_of, incidents_of, timeline_of
from server.incidents.runbook import StepAct
from server.incidents.steps import able
from server.incidents.suspect_answer import SuspectsAnswer
from server.incidents.suspect_handler import SuspectsAsked, suspects_near
from server.kernel.errors import ApiError
from server.mcp.tool import Tool
from server.parts import Parts

SHOWN = 20  # alerts and signals of an incident
LINES = 30  # of its timeline

Number = Annotated[int, Meta(ge=1, le=2**63 - 1)]
ProposedAct = StepAct | Literal["accept", "decline", "resolve"]
# What a person presses in the room, as the buttons say; the rest of a label depends on what is in force.
PRESSES: dict[str, str] = {
    "accept": "Accept",
    "decline": "Decline",
    "resolve": "Resolve",
    "pause_deploys": "Pause deploys",
    "roll_back_deploy": "Roll back to the version before",
    "roll_back_config": "Roll back the settings",
    "lower_batch_items": "Lower the items of a batch",
    "lower_body_bytes": "Lower the size of a body",
    "throttle": "Throttle",
    "rollups_only": "Rollups only",
    "acknowledge": "Acknowledge",
    "silence": "Silence",
}


class IncidentsWanted(IncidentsAsked):
    """Newest first. `state`: open or all. `before` is the `next` of the page before."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class IncidentWanted(Struct):
    """The number of an incident."""

    incident_id: Number


class IncidentFound(Struct):
    """An incident with the newest lines of its timeline; `link` is its room."""

    link: str
    incident: IncidentDetail
    alerts_left_out: int
    signals_left_out: int
    timeline: list[LineAnswer]


class SuspectsWanted(SuspectsAsked, kw_only=True):
    """Of one service. `at`: RFC 3339, the onset or the alarm, by default now. With `over_ms` what took longer counts,
    and not what failed."""

    service: Annotated[str, Meta(max_length=1000)]


class ProposalWanted(Struct):
    """What should be done in which incident, and why."""

    incident_id: Number
    act: ProposedAct
    why: Annotated[str, Meta(min_length=1, max_length=500)]


class ActProposal(Struct):
    """Nothing was done: a person opens `link`, reads what the act will do, and presses `press`, or does not."""

    incident_id: int
    act: ProposedAct
    why: str
    press: str
    link: str
    done: Literal[False] = False


async def incident(parts: Parts, asked: IncidentWanted) -> IncidentFound:
    found = await detail_of(parts, asked.incident_id)
    lines = (await timeline_of(parts, asked.incident_id, LINES)).lines
    alerts, signals = (max(0, len(some) - SHOWN) for some in (found.alerts, found.signals))
    found.alerts, found.signals = found.alerts[:SHOWN], found.signals[:SHOWN]
    return IncidentFound(link_to(parts, asked.incident_id), found, alerts, signals, lines)


async def suspects(parts: Parts, asked: SuspectsWanted) -> SuspectsAnswer:
    return await suspects_near(parts, asked.service, asked)


async def propose(parts: Parts, asked: ProposalWanted) -> ActProposal:
    """ApiError NOT_FOUND; CONFLICT where the act cannot work now."""
    async with parts.db.ask() as connection:
        room = await room_of(connection, asked.incident_id)
        check_there(room.incident)
        service = room.incident.service
        deploys = await deploy_facts(connection, service) if service else None
        can: set[str] = {*able(parts, await alerts_of(connection, room), deploys)}
    if room.incident.state == "suspected":
        can |= {"accept", "decline"}
    elif room.incident.open:
        can |= {"resolve"}
    if asked.act not in can or not room.incident.open:
        those = ", ".join(sorted(can)) if room.incident.open else "none: it is over"
        detail = f"{asked.act} cannot work in incident {asked.incident_id} now; can: {those}. Nothing was done."
        raise ApiError("CONFLICT", detail)
    link = f"{link_to(parts, asked.incident_id)}?{urlencode({'propose': asked.act, 'why': asked.why})}"
    return ActProposal(asked.incident_id, asked.act, asked.why, PRESSES[asked.act], link)


def link_to(parts: Parts, number: int) -> str:
    """The room of an incident."""
    return f"{parts.env.public_url}/incidents/{number}"


TOOLS = (
    Tool(
        "incidents",
        "Incidents",
        "Incidents, newest first: what is in trouble, since when, how severe, and who has accepted it.",
        IncidentsWanted,
        IncidentsAnswer,
        incidents_of,
    ),
    Tool(
        "incident",
        "One incident",
        "One incident with what the next commander has to know: brief, what was seen at its start, alerts, signals, "
        "tasks, deploys, what live data says of its end, similar ones of the past, and its newest timeline lines.",
        IncidentWanted,
        IncidentFound,
        incident,
    ),
    Tool(
        "suspects",
        "Suspects",
        "What explains that a service fails or is slow near a time: combinations of route, version, client, "
        "dependency and others with their shares of the extra failures and of the traffic, the change that brought "
        "them, and two failing requests.",
        SuspectsWanted,
        SuspectsAnswer,
        suspects,
    ),
    Tool(
        "propose",
        "Propose an act",
        "Proposes an act in an incident. Nothing is done: the answer is the link to its room and what a person presses "
        "there. Show both to the person, with why.",
        ProposalWanted,
        ActProposal,
        propose,
    ),
)
