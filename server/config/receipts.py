"""How far a revision has come: who has applied it, how fast, and who may still enforce an older one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct

from server.kernel.text import plural
from server.kernel.times import Instant, utc

LATE_S = 1.0  # a process that has not applied a revision by then is a straggler
SILENT_S = 3.0  # three heartbeats missed
GONE_S = 30.0

State = Literal["applied", "pending", "straggler", "gone"]


class WebProcess(Struct, frozen=True):
    """A web process as the database shows it, with its newest receipt. Times are Unix seconds."""

    id: int
    host: str
    name: str
    started_at: float
    silent_s: float  # since its last heartbeat
    revision: int | None
    applied_at: float | None
    applied: Mapping[str, Any]


class Receipt(Struct):
    """One process and the revision in force."""

    process: str  # web.1; with several machines, host/web.1
    process_id: int
    started_at: Instant
    revision: int | None  # the newest that it has applied
    applied_after_ms: float | None  # None: not applied, or applied when it started
    at_start: bool  # it started after the revision was made
    silent_s: float
    state: State
    text: str  # for people: web.3 silent for 12 s; may still enforce batch items 100
    applied: Mapping[str, Any]  # each setting there: value, source, environment
    due: int  # the revision in force there: while one is staged, it or its base


class Progress(Struct):
    """Every process, and the revision in force in one line."""

    revision: int
    applied: int
    of: int
    slowest_ms: float | None
    complete: bool
    text: str  # 4 of 4 processes, slowest 120 ms
    receipts: list[Receipt]
    stragglers: list[Receipt]
    gone: list[Receipt]


@dataclass(frozen=True, slots=True)
class Due:
    """The revision in force in a process, and since when."""

    revision: int
    since: float


@dataclass(frozen=True, slots=True)
class Awaited:
    """What is looked for: the newest revision, what is in force in each process, and what time it is.

    `may_enforce` tells in words what a process may enforce instead. Both are by a process's id.
    """

    revision: int
    due: Mapping[int, Due]
    now: float
    may_enforce: Mapping[int, str]


def progress(found: Sequence[WebProcess], awaited: Awaited) -> Progress:
    """How far a revision has come."""
    named = labels(found)
    listed = [receipt(process, named[process.id], awaited) for process in found]
    live = [one for one in listed if one.state != "gone"]
    applied = sum(one.state == "applied" for one in live)
    times = [one.applied_after_ms for one in live if one.applied_after_ms is not None]
    slowest = max(times, default=None)
    ended = f", slowest {milliseconds(slowest)}" if slowest is not None and applied == len(live) else ""
    return Progress(
        revision=awaited.revision,
        applied=applied,
        of=len(live),
        slowest_ms=slowest,
        complete=applied == len(live),
        text=f"{applied} of {plural(len(live), 'process', 'processes')}{ended}",
        receipts=live,
        stragglers=[one for one in live if one.state == "straggler"],
        gone=[one for one in listed if one.state == "gone"],
    )


def labels(found: Sequence[WebProcess]) -> dict[int, str]:
    """The processes' names by id; with several machines, with the machine."""
    one_host = len({process.host for process in found}) <= 1
    return {process.id: process.name if one_host else f"{process.host}/{process.name}" for process in found}


def receipt(process: WebProcess, label: str, awaited: Awaited) -> Receipt:
    due = awaited.due[process.id]
    applied = process.revision == due.revision
    at_start = process.started_at >= due.since
    after = None
    if applied and not at_start and process.applied_at is not None:
        after = round(max(0.0, process.applied_at - due.since) * 1000, 1)
    state = state_of(process, applied, awaited.now - max(due.since, process.started_at))
    return Receipt(
        process=label,
        process_id=process.id,
        started_at=utc(process.started_at),
        revision=process.revision,
        applied_after_ms=after,
        at_start=at_start,
        silent_s=round(process.silent_s, 1),
        state=state,
        text=f"{label} {words_of(process, state, awaited.may_enforce)}",
        applied=process.applied,
        due=due.revision,
    )


def state_of(process: WebProcess, applied: bool, waited_s: float) -> State:
    if process.silent_s > GONE_S:
        return "gone"
    if applied:
        return "applied"
    return "straggler" if waited_s > LATE_S else "pending"


def words_of(process: WebProcess, state: State, may_enforce: Mapping[int, str]) -> str:
    """What is known about a process, in words."""
    if state == "gone":
        return f"gone: no heartbeat for {seconds(process.silent_s)}"
    silent = f"silent for {seconds(process.silent_s)}" if process.silent_s > SILENT_S else ""
    if state == "applied":
        return silent or "has applied it"
    old = may_enforce.get(process.id, "")
    enforce = f"; may still enforce {old}" if old else ""
    return (silent or "has not applied it yet") + enforce


def seconds(value: float) -> str:
    return f"{value:.0f} s" if value < 120 else f"{value // 60:.0f} min"


def milliseconds(value: float) -> str:
    """Whole milliseconds; from 1 s, seconds."""
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.2f} s"
