"""A server of its own for a benchmark: embedded PostgreSQL in a scratch directory, ended afterwards."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from server.kernel.settings import Environment
from server.process import embedded
from server.process.migrate import migrate
from tests.running import Running

ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory that is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="ekb-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def begin(directory: Path, root: Path = ROOT, /, **variables: str) -> Running:
    """`python -m server` of the code in `root` on a free port with its data in the directory, ready."""
    given = {
        "DATA_DIR": str(directory / "data"),
        "PORT": str(free_port()),
        "HOST": "127.0.0.1",
        "LOG_FORMAT": "json",
        "SLO_FILE": str(root / "slo.yaml"),
    }
    server = Running(given | variables, directory / "server.log", root=root)
    server.wait_ready(60)
    return server


@contextlib.contextmanager
def stand(**variables: str) -> Iterator[Running]:
    """A running server for the length of the block."""
    with scratch() as directory:
        server = begin(directory, **variables)
        try:
            yield server
        finally:
            server.stop(signal.SIGTERM)


@contextlib.contextmanager
def database(env: Environment) -> Iterator[str]:
    """A database without a server, migrated; its URL."""
    place = embedded.cluster(env)
    embedded.start(place)
    try:
        migrate(place.url)
        yield place.url
    finally:
        embedded.stop(place)


def percentile(values: list[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered) + 0.4999) - 1))]
