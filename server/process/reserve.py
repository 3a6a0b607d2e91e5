"""A reserve of disk space beside the embedded database: given up when the disk is full, for what people do.

While it is given up nothing else that grows is stored, outcomes and log lines, so that acts still commit. It is
one file: its size says how it stands, to every process of the machine.
"""

from __future__ import annotations

import errno
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from server.kernel.settings import Environment
from server.process.embedded import cluster

log = logging.getLogger("evenkeel.reserve")

MIB = 1 << 20
BYTES = 64 * MIB  # four segments of PostgreSQL's log
LEAST_FREE = 24 * MIB  # less, and it is given up: the log needs 16 MiB at once, or the database ends
AGAIN_FREE = BYTES + 2 * LEAST_FREE  # so much, and it is taken again


@dataclass(frozen=True, slots=True)
class Reserve:
    """The file; None where the database is not ours to care for."""

    path: Path | None

    @property
    def given_up(self) -> bool:
        """Whether what is left of the disk is for acts alone."""
        try:
            return self.path is not None and self.path.stat().st_size == 0
        except OSError:
            return False

    def require(self) -> None:
        """OSError (ENOSPC) where what grows must not be stored."""
        if self.given_up:
            raise OSError(errno.ENOSPC, "the disk is full, what is left is for what people do")

    def keep(self) -> None:
        """Give it up or take it as the disk stands: for the supervisor, now and then."""
        if self.path is None:
            return
        disk = os.statvfs(self.path.parent)
        free = disk.f_bavail * disk.f_frsize
        held = self.path.exists() and not self.given_up
        if free < LEAST_FREE and not self.given_up:
            self._give_up(self.path)
        elif free >= AGAIN_FREE and not held:
            self._take(self.path)

    def _give_up(self, path: Path) -> None:
        path.write_bytes(b"")
        log.error("the disk is full: outcomes and log lines are not stored until there is room, acts of people are")

    def _take(self, path: Path) -> None:
        """All of it or, where that fails after all, none."""
        new = path.with_name(f"{path.name}.new")
        with new.open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, BYTES)
            except OSError as error:
                log.warning("no reserve of disk space could be taken: %s", error.strerror)
                new.unlink()
                return
        if self.given_up:
            log.warning("there is room on the disk again: everything is stored")
        new.replace(path)


NO_RESERVE = Reserve(None)


def reserve_of(env: Environment) -> Reserve:
    """That of the database which the environment names."""
    ours = env.database_url in (None, cluster(env).url)
    return Reserve(env.data_dir / "reserve" if ours else None)
