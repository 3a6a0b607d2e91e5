"""How far logs were sent to an Evenkeel elsewhere: kept beside the command, in one small file a log.

What is to be sent next is written there first, to the byte and with its Idempotency-Keys. After kill -9 the same is
sent again, and counts once there; only then the log is read on.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from server.ingest.access_log.log_place import LogPlace
from server.kernel import shared_clock

KEPT_S = 400 * 86_400.0  # as places are in the database
VERSION = 1


class LogPost(Struct):
    """One request to come: the body as it is sent."""

    part: str  # of which claim, in hex
    key: str  # Idempotency-Key
    timed: bool
    body: bytes  # NDJSON, gzip


class NextPlace(Struct):
    """Where a log is sent up to once these are sent."""

    number: int
    place: LogPlace
    posts: list[LogPost]


class SentPlaces(Struct):
    """What such a file holds, by the numbers of logs that begin alike."""

    version: int = VERSION
    places: dict[int, LogPlace] = {}
    next: NextPlace | None = None


class LogIsSent(Exception):
    """Another command is sending a log that begins so."""


class SentLog:
    """The places of logs that begin alike; it is this process's until it is closed. LogIsSent: it is another's.

    OSError: the directory cannot be written to, at any call; what is known is kept at the next one that can.
    ValueError: another version has written the file.
    """

    def __init__(self, directory: Path, known: bytes) -> None:
        self.path = directory / f"{known.hex()}.json"
        self._lock = locked(self.path.with_suffix(".lock"))
        self.held = SentPlaces()
        if self.path.exists():
            self.held = msgspec.json.decode(self.path.read_bytes(), type=SentPlaces)
        self._kept = True  # on disk, as it is held

    def prepare(self, number: int, place: LogPlace, posts: Sequence[LogPost]) -> None:
        """Keep what is sent next; nothing where it is that already."""
        there = self.held.next
        if there is None or (there.number, there.place) != (number, place):
            self.held.next = NextPlace(number, place, list(posts))
            self._kept = False
        self.keep()

    def posts(self, part: str) -> list[LogPost]:
        """Those of a claim that are to be sent."""
        return [post for post in self.held.next.posts if post.part == part] if self.held.next else []

    def halved(self, post: LogPost, halves: Sequence[LogPost]) -> None:
        """Send two in the place of one that was too large."""
        assert self.held.next is not None
        at = self.held.next.posts.index(post)
        self.held.next.posts[at : at + 1] = halves
        self._kept = False
        self.keep()

    def sent(self, post: LogPost) -> None:
        """It is there, and is not sent again: not by a later process either, for which its key may have aged out."""
        assert self.held.next is not None
        self.held.next.posts.remove(post)
        self._kept = False
        self.keep()

    def moved(self) -> None:
        """All of it was sent."""
        if self.held.next is not None:
            self.held.places[self.held.next.number] = self.held.next.place
            self.held.next = None
            self._kept = False
        self.keep()

    def keep(self) -> None:
        """Have it on disk before anything goes on."""
        if self._kept:
            return
        new = self.path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(self.held))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._kept = True

    def close(self) -> None:
        """Give it to whoever comes next."""
        os.close(self._lock)


def sent_directory(data_dir: Path, url: str) -> Path:
    """Where it is kept for an Evenkeel; what has not changed for so long is deleted. OSError."""
    directory = data_dir / "sent" / hashlib.blake2b(url.encode(), digest_size=8).hexdigest()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for lock in directory.glob("*.lock"):
        if is_old(lock):
            forget(lock)
    return directory


def is_old(lock: Path) -> bool:
    """Whether what a lock is of has not changed for so long."""
    for path in (lock.with_suffix(".json"), lock):
        with suppress(FileNotFoundError):
            return path.stat().st_mtime < shared_clock.now() - KEPT_S
    return False


def forget(lock: Path) -> None:
    """Delete what is kept of a log, unless a command is sending it or has just done so."""
    with suppress(LogIsSent):
        held = locked(lock)
        try:
            if is_old(lock):
                for ending in (".new", ".json", ".lock"):
                    lock.with_suffix(ending).unlink(missing_ok=True)
        finally:
            os.close(held)


def locked(path: Path) -> int:
    """The lock of a log, until it is closed. LogIsSent: another command has it. OSError."""
    while True:
        lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        except BlockingIOError:
            os.close(lock)
            raise LogIsSent from None
        except FileNotFoundError:  # it was deleted with its log meanwhile
            pass
        os.close(lock)
