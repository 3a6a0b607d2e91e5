"""One process's directory in the spool, and the keys that all processes of a machine share. Everything here blocks.

DATA_DIR/spool/1, 2, …: who holds the lock of a directory has it, so that one whose process is gone can be taken
over. In it are segments, `<microseconds>-<mark>.spool`, in the order in which they are replayed; `items`, how many
outcomes wait; and `aside`, what could not be replayed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from server.ingest.sent import SentBatch, packed
from server.ingest.spool import spool_file
from server.process.reserve import AGAIN_FREE, Reserve

SEGMENT_BYTES = 4 << 20
SUFFIX = ".spool"
NAME = re.compile(rf"[0-9]{{16}}-[0-9a-f]{{16}}{re.escape(SUFFIX)}")  # of a segment; others are not ours
NOT_OURS = (FileNotFoundError, NotADirectoryError, PermissionError)  # gone, or somebody else's
SLOTS_MAX = 1000
ENTRY_BYTES = 32  # of `keys`: digests of a key and of the body that was sent with it

Kept = Literal["kept", "repeated", "mismatch"]


class SpoolFull(Exception):
    """As much waits as may."""


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A file of the spool; its name says when it was begun."""

    name: str
    folder: Path

    @classmethod
    def begun(cls, microseconds: int, mark: bytes, folder: Path) -> Segment:
        """One that began at a time, in Unix microseconds."""
        return cls(f"{microseconds:016d}-{mark.hex()}{SUFFIX}", folder)

    @property
    def path(self) -> Path:
        return self.folder / self.name

    @property
    def mark(self) -> bytes:
        return bytes.fromhex(self.name.partition("-")[2].removesuffix(SUFFIX))

    @property
    def microseconds(self) -> int:
        """When it began, Unix microseconds."""
        return int(self.name.partition("-")[0])

    @property
    def since(self) -> float:
        """Unix seconds."""
        return self.microseconds / 1_000_000


def segments_in(folder: Path) -> list[Segment]:
    """The segments of a directory, the oldest first."""
    try:
        return sorted(Segment(path.name, folder) for path in folder.iterdir() if NAME.fullmatch(path.name))
    except NOT_OURS:
        return []


def slots_in(root: Path) -> list[Path]:
    """The directories of the spool, by number."""
    try:
        return sorted((path for path in root.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
    except NOT_OURS:
        return []


def items_in(folder: Path) -> int:
    """The outcomes that wait in a directory, as who has it wrote them down."""
    try:
        return int((folder / "items").read_text())
    except (OSError, ValueError):
        return 0


def write_all(file: int, data: bytes) -> None:
    """All of it: a full disk takes a part first."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def lasting(folder: Path) -> None:
    """What was made in a directory or removed from it survives the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class SpooledKeys:
    """The Idempotency-Keys that wait on this machine: a file that every process adds to and reads on from where it was.

    It need not survive the machine: a repeat that it does not know is found when both are replayed.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / "keys"
        self._root = root
        self._known: dict[bytes, bytes] = {}
        self._read = 0

    @contextmanager
    def _alone(self) -> Iterator[IO[bytes]]:
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file.fileno()).st_size
            if size < self._read:  # begun anew
                self._known.clear()
                self._read = 0
            file.seek(self._read)
            data = file.read()
            for place in range(0, len(data) - ENTRY_BYTES + 1, ENTRY_BYTES):
                self._known[data[place : place + 16]] = data[place + 16 : place + 32]
                self._read += ENTRY_BYTES
            yield file

    def body_of(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        """The digest of the body that came with each key, of those that are known."""
        if not digests:
            return {}
        with self._alone():
            return {digest: self._known[digest] for digest in digests if digest in self._known}

    def add(self, entries: dict[bytes, bytes]) -> None:
        """These are kept durably now."""
        if not entries:
            return
        with self._alone() as file:
            file.truncate(self._read)  # half an entry is left where a process was killed
            file.write(b"".join(digest + body for digest, body in entries.items()))
        self._known |= entries
        self._read += ENTRY_BYTES * len(entries)

    def seen(self, digest: bytes) -> bool:
        """Whether a key is among those that this process has read or added; in memory, from any thread."""
        return digest in self._known

    def forget(self) -> None:
        """Begin anew, where nothing waits on this machine any more."""
        with self._alone() as file:
            if self._read and not any(segments_in(slot) for slot in slots_in(self._root)):
                file.truncate(0)


class SpoolSlot:
    """A directory of the spool that is ours: we hold its lock. Not for two threads at a time."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._lock = lock
        self._active: Segment | None = None  # what is added to
        self._file = -1
        self._size = 0  # bytes of it that are kept durably
        self.bytes = 0  # that wait
        self.measure()
        self.items = items_in(folder) if self.segments() else 0  # outcomes that wait

    @classmethod
    def lock(cls, folder: Path) -> SpoolSlot | None:
        """It, where nobody else has it."""
        try:
            descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except NOT_OURS:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return cls(folder, descriptor)

    @classmethod
    def take(cls, root: Path) -> SpoolSlot:
        """The first one that nobody has, made where there is none. OSError where the disk cannot be written."""
        for number in range(1, SLOTS_MAX):
            folder = root / str(number)
            if not folder.exists():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                lasting(root)
            slot = cls.lock(folder)
            if slot is not None:
                return slot
        raise OSError(errno.EMFILE, "no directory of the spool is free")

    def close(self) -> None:
        """Let go of it; what waits in it stays."""
        self.seal()
        os.close(self._lock)

    def segments(self) -> list[Segment]:
        return segments_in(self.folder)

    def measure(self) -> None:
        """Look at what waits: a person may have moved a file up from `aside`."""
        self.bytes = sum(segment.path.stat().st_size for segment in self.segments())

    def append(self, sent: Sequence[SentBatch]) -> None:
        """Keep these durably. OSError: none of them is."""
        active = self._active or self._begin()
        frames = b"".join([spool_file.framed(active.mark, packed(one)) for one in sent])
        try:
            write_all(self._file, frames)
            os.fsync(self._file)
        except OSError:
            self._undo()
            raise
        self._size += len(frames)
        self.bytes += len(frames)
        self.count(sum(one.items for one in sent))
        if self._size >= SEGMENT_BYTES:
            self.seal()

    def _begin(self) -> Segment:
        last = max((segment.microseconds for segment in self.segments()), default=0)
        mark = os.urandom(spool_file.MARK_BYTES)
        active = Segment.begun(max(last + 1, time.time_ns() // 1000), mark, self.folder)
        file = os.open(active.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            lasting(self.folder)
        except OSError:
            os.close(file)
            active.path.unlink()
            raise
        self._file, self._size, self._active = file, 0, active
        return active

    def _undo(self) -> None:
        """Take back what may have been written; a file that failed once is not written again."""
        with contextlib.suppress(OSError):  # what is left then are records that their senders send again
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)
        self.seal()

    def seal(self) -> None:
        """The next record begins another segment."""
        active, self._active = self._active, None
        if active is not None:
            os.close(self._file)
            if not self._size:
                active.path.unlink(missing_ok=True)

    def oldest(self) -> Segment | None:
        """The segment to replay next; it is not added to any more."""
        found = self.segments()
        if not found:
            return None
        if found[0] == self._active:
            self.seal()
        return found[0] if found[0].path.exists() else None

    def remove(self, segment: Segment) -> None:
        """Everything in it is stored."""
        segment.path.unlink()
        self._removed()

    def put_aside(self, segment: Segment) -> None:
        """Keep it where it is not replayed, for a person to look at."""
        segment.path.rename(self._aside() / segment.name)
        self._removed()

    def _aside(self) -> Path:
        aside = self.folder / "aside"
        aside.mkdir(mode=0o700, exist_ok=True)
        return aside

    def _removed(self) -> None:
        lasting(self.folder)
        self.measure()
        if not self.bytes:
            self.count(-self.items)

    def put_record_aside(self, segment: Segment, record: bytes) -> None:
        """The same for one record of it, under a name that moved up takes the place of nothing, its segment least."""
        later = segment.microseconds + 1 + zlib.crc32(record) % 1_000_000  # by a second at most
        with Segment.begun(later, segment.mark, self._aside()).path.open("ab") as file:
            file.write(spool_file.framed(segment.mark, record))
            file.flush()
            os.fsync(file.fileno())

    def count(self, items: int) -> None:
        """So many outcomes more wait; less than 0: fewer."""
        self.items = max(0, self.items + items)
        new = self.folder / "items.new"
        with contextlib.suppress(OSError):  # on a full disk others do not know the number
            new.write_text(str(self.items))
            new.replace(self.folder / "items")


class SpoolFolder:
    """What a process does on the disk: keeps batches in its slot, within bounds, and finds slots that were left."""

    def __init__(self, root: Path, most_bytes: int, reserve: Reserve) -> None:
        self.root = root
        self.most_bytes = most_bytes
        self.reserve = reserve
        self.slot = SpoolSlot.take(root)
        self.keys = SpooledKeys(root)

    def keep(self, sent: Sequence[SentBatch]) -> list[Kept]:
        """Keep a group durably, and say of each what became of it. SpoolFull or OSError: nothing of it is kept."""
        known = self.keys.body_of([one.digest for one in sent if one.keyed])
        found: list[Kept] = []
        new: list[SentBatch] = []
        for one in sent:
            body = known.get(one.digest) if one.keyed else None
            found.append("kept" if body is None else "repeated" if body == one.body_digest else "mismatch")
            if body is None:
                new.append(one)
                if one.keyed:
                    known[one.digest] = one.body_digest
        if new:
            self.require_room(sum(one.size for one in new))
            self.slot.append(new)
            with contextlib.suppress(OSError):  # they are kept: a repeat is found when both are replayed
                self.keys.add({one.digest: one.body_digest for one in new if one.keyed})
        return found

    def require_room(self, size: int) -> None:
        """SpoolFull or OSError where so many bytes more must not be kept."""
        self.reserve.require()
        if self.slot.bytes + size > self.most_bytes:
            raise SpoolFull
        if self.reserve.path is not None:  # the database needs room on this disk to start again
            disk = os.statvfs(self.root)
            if disk.f_bavail * disk.f_frsize < AGAIN_FREE + size:
                raise OSError(errno.ENOSPC, "the rest of the disk is for the database")

    def left(self) -> list[SpoolSlot]:
        """Slots of processes that are gone with what waits in them, ours now. Ours is looked at too."""
        self.slot.measure()
        others = [folder for folder in slots_in(self.root) if folder != self.slot.folder and segments_in(folder)]
        return [slot for slot in map(SpoolSlot.lock, others) if slot is not None]

    def close(self) -> None:
        self.slot.close()
