"""Where the spool is, whether there is one, and what waits in it on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from server.ingest.spool.spool_slot import items_in, segments_in, slots_in
from server.kernel.settings import Environment
from server.process.reserve import reserve_of

MOUNTS = Path("/proc/self/mountinfo")
# What a machine that restarts, or a container that is made anew, does not have any more.
PASSING = frozenset({"tmpfs", "ramfs", "overlay", "aufs"})


@dataclass(frozen=True, slots=True)
class SpoolWaiting:
    """What waits on this machine. `since` is Unix seconds, None where nothing waits."""

    items: int
    bytes: int
    since: float | None
    aside: int  # files with what could not be replayed


NOTHING_WAITS = SpoolWaiting(0, 0, None, 0)


def root_of(env: Environment) -> Path:
    """The directory of the spool."""
    return env.data_dir / "spool"


def no_spool(env: Environment) -> str:
    """Why nothing is spooled here, as a sentence; empty where it is."""
    if env.spool == "off":
        return "SPOOL is off."
    if env.spool == "on" or reserve_of(env).path is not None:  # beside the database: as lasting as that
        return ""
    if env.raw.get("DYNO"):
        return "A dyno's disk goes with it."
    kind = kind_of(env.data_dir)
    if kind in PASSING:
        return f"DATA_DIR is on {kind}, which does not outlast the machine or the container."
    return ""


def kind_of(place: Path) -> str:
    """The type of the file system of a directory that may not exist yet; empty where it is not known."""
    try:
        lines = MOUNTS.read_text().splitlines()
    except OSError:
        return ""
    return kind_at(place.resolve(), mounts(lines))


def mounts(lines: list[str]) -> dict[Path, str]:
    """Mount points and their types, from mountinfo (proc(5)); of several on one point the last is in force."""
    found: dict[Path, str] = {}
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) > 4 and after:
            found[Path(fields[4].replace("\\040", " "))] = after.split(" ")[0]
    return found


def kind_at(place: Path, kinds: Mapping[Path, str]) -> str:
    """The type that a place has by the mount points above it."""
    return next((kinds[above] for above in (place, *place.parents) if above in kinds), "")


def waiting_on_machine(root: Path) -> SpoolWaiting:
    """What waits in all slots, those of processes that are gone too. A few looks at directories."""
    items = bytes_ = aside = 0
    since: float | None = None
    for slot in slots_in(root):
        segments = segments_in(slot)
        aside += len(segments_in(slot / "aside"))
        for segment in segments:
            try:
                bytes_ += segment.path.stat().st_size
            except OSError:  # replayed just now
                continue
            since = min(since or segment.since, segment.since)
        items += items_in(slot) if segments else 0
    return SpoolWaiting(items, bytes_, since, aside)
