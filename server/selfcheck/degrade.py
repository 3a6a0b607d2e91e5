"""The degrade modes: what Evenkeel leans on and can lose, and what people are told of it.

One list, from which pages, health, metrics and docs/degrade.md take their names and words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

Look = Literal["burning", "degraded"]


class DegradeMode(Struct, frozen=True):
    """One thing that is lost, slow or full. `{names}` in its words stand for what is seen."""

    name: str  # in /health/ready, in evenkeel_degraded and in docs/degrade.md
    part: str  # of /health/ready
    look: Look
    says: str  # what happened
    kept: str  # what goes on, and what is kept
    do: str  # what a person can do; empty: nothing
    heading: str  # of docs/degrade.md


class Degraded(Struct, frozen=True):
    """A mode that Evenkeel is in. `follows`: it comes of another that is told."""

    mode: DegradeMode
    seen: Mapping[str, str] = field(default_factory=dict)
    follows: bool = False

    @property
    def says(self) -> str:
        return self.mode.says.format_map(self.seen)

    @property
    def kept(self) -> str:
        return self.mode.kept.format_map(self.seen)

    @property
    def do(self) -> str:
        return self.mode.do.format_map(self.seen)


REFUSED = "Senders are answered 503 and send again. What was acknowledged is kept."
BY_ITSELF = "Signals go through PostgreSQL, limits on rate may hold per process. Nothing is lost."

# The worst first, as pages show them.
MODES = (
    DegradeMode(
        "watch_lost",
        "watch",
        "burning",
        "Alerts have not been evaluated for {for_s}",
        "Outcomes are taken and kept.",
        "Another watch takes over within 3 s. If none does: restart one machine.",
        "The watch",
    ),
    DegradeMode(
        "no_picture",
        "watch",
        "burning",
        "No picture yet: the watch has not begun",
        "Alerts are not being evaluated. Outcomes are taken and kept.",
        "If it lasts: look for watch in the log.",
        "The watch",
    ),
    DegradeMode(
        "spool_refuses",
        "spool",
        "burning",
        "Outcomes are refused: {why}",
        REFUSED,
        "Make room on the disk of this machine, or raise SPOOL_MAX_BYTES.",
        "The spool",
    ),
    DegradeMode(
        "spool_off",
        "spool",
        "burning",
        "Outcomes cannot be stored since {since}, and are not spooled here",
        "{why} " + REFUSED,
        "",
        "The spool",
    ),
    DegradeMode(
        "overloaded",
        "queue",
        "degraded",
        "Too much load: outcomes are refused since {since}",
        "Senders are answered 503 and send again; their services are shown as partial.",
        "On Config: see who sends most, limit that key for 30 minutes.",
        "Too much load",
    ),
    DegradeMode(
        "database_lost",
        "database",
        "degraded",
        "Database lost since {since}",
        "{kept}",
        "See its own log, and your platform's status.",
        "The database",
    ),
    DegradeMode(
        "database_slow",
        "database",
        "degraded",
        "Database slow since {since}",
        "{kept}",
        "See what it does (pg_stat_activity), take load off on Config.",
        "The database",
    ),
    DegradeMode(
        "database_read_only",
        "database",
        "degraded",
        "Database takes no writes since {since}",
        "{kept}",
        "A standby? Promote it, or have DATABASE_URL name the primary too.",
        "The database",
    ),
    DegradeMode(
        "database_failing_over",
        "database",
        "degraded",
        "Database starts or fails over since {since}",
        "{kept}",
        "If it lasts longer than a minute: see its own log.",
        "The database",
    ),
    DegradeMode(
        "database_no_connections",
        "database",
        "degraded",
        "Database out of connections since {since}",
        "{kept}",
        "See who holds them (pg_stat_activity), raise its limit.",
        "The database",
    ),
    DegradeMode(
        "database_disk_full",
        "database",
        "degraded",
        "Disk of the database full since {since}",
        "{kept}",
        "On Config turn INGEST_STORE_OUTCOMES off, then make room.",
        "Disk space",
    ),
    DegradeMode(
        "database_old_schema",
        "schema",
        "degraded",
        "The database's schema is older than this release since {since}",
        "{kept}",
        "Run the release phase: python -m alembic upgrade head.",
        "Two versions at once",
    ),
    DegradeMode(
        "outcomes_lost",
        "outcomes",
        "degraded",
        "The outcomes' own database lost since {since}",
        "{kept} Requests cannot be looked up.",
        "On Config turn INGEST_STORE_OUTCOMES off until it is back.",
        "The outcomes' own database",
    ),
    DegradeMode(
        "spool_waits",
        "spool",
        "degraded",
        "{items} on this machine's disk since {since}",
        "They are stored by themselves, each once, in the second it belongs to.",
        "",
        "The spool",
    ),
    DegradeMode(
        "redis_lost",
        "redis",
        "degraded",
        "Redis lost",
        "Changes reach processes within 5 s, limits on rate hold per process. Nothing is lost.",
        "",
        "Redis",
    ),
    DegradeMode(
        "redis_slow", "redis", "degraded", "Redis slow", BY_ITSELF, "See its SLOWLOG and who else uses it.", "Redis"
    ),
    DegradeMode(
        "redis_full",
        "redis",
        "degraded",
        "Redis full",
        "Signals arrive, limits on rate hold per process. Nothing is lost.",
        "Raise its maxmemory, or set maxmemory-policy to allkeys-lru.",
        "Redis",
    ),
    DegradeMode(
        "redis_read_only",
        "redis",
        "degraded",
        "Redis takes no writes",
        "Signals arrive, limits on rate hold per process. Nothing is lost.",
        "A replica? Have REDIS_URL lead to the master, by Sentinel where there is one.",
        "Redis",
    ),
    DegradeMode(
        "bus_cut",
        "bus",
        "degraded",
        "{process} is cut off from the bus",
        "It polls: settings reach it within 5 s, pictures each second. Nothing is lost.",
        "If it lasts: see whether the database limits connections.",
        "The bus",
    ),
    DegradeMode(
        "process_silent",
        "processes",
        "degraded",
        "{process} silent for {for_s}",
        "Others answer; who is connected to it waits.",
        "On {host}: pkill -9 -x ek:{name}. It is started again.",
        "A web process",
    ),
    DegradeMode(
        "clock_off",
        "clock",
        "degraded",
        "The clock of {host} is {off}",
        "Outcomes, alerts and logs are stamped by the database's.",
        "Have it kept by NTP.",
        "Clocks",
    ),
)
BY_NAME = {mode.name: mode for mode in MODES}
