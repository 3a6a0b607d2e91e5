"""The bytes of a log: of a file, a pipe or standard input, gzip or not, in chunks of whole lines."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

LINE_MAX = 65_536  # bytes; what is longer is no line of an access log
CHUNK_BYTES = 1 << 20
HEAD_BYTES = 4_096
TAIL_BYTES = 4_096
INODE_MAX = 2**63 - 1  # of a bigint
GZIP = b"\x1f\x8b"
PACKED = {b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "Zstandard", b"PK": "zip"}


class UnreadableLog(Exception):
    """The file is of a kind that is not read; says which."""


class LogChunk(NamedTuple):
    """Whole lines, without their ends, from byte `start` to byte `end` of a log as it is unpacked.

    None stands for a line over LINE_MAX. `tail` is the digest of the last TAIL_BYTES before `end`.
    """

    start: int
    end: int
    lines: list[str | None]
    tail: bytes
    final: bool  # nothing follows


class LogBytes:
    """A log read forwards. `place`: the bytes of it that were taken; `before`: the last of them."""

    def __init__(self, read: Callable[[int], bytes], place: int = 0, before: bytes = b"") -> None:
        self.place = place
        self._read = read
        self._before = before[-TAIL_BYTES:]
        self._held = b""

    def next(self, end: int | None = None, *, last: bool = False) -> LogChunk | None:
        """The next lines, some of them, or all up to `end`; None where none is whole yet.

        `last`: nothing more comes, so that a line without its end counts.
        """
        wanted = CHUNK_BYTES if end is None else end - self.place
        while len(self._held) <= wanted and (more := self._read(wanted + 1 - len(self._held))):
            self._held += more
        held = self._held[:wanted]
        final = last and len(self._held) <= wanted
        cut = held.rfind(b"\n") + 1
        if end is not None or final or (not cut and len(held) == wanted):
            cut = len(held)  # in the last case: the middle of a line that is too long
        if not cut:
            return None
        held = held[:cut]
        return LogChunk(self.place, self.place + cut, self._lines(held), tail_of(self._before + held), final)

    def _lines(self, data: bytes) -> list[str | None]:
        text = data.decode("utf-8", "replace")
        lines: list[str | None] = list(text.split("\n"))
        if data.endswith(b"\n"):
            lines.pop()
        if self._before and not self._before.endswith(b"\n"):
            del lines[0]  # the end of a line whose beginning was taken
        if "\r" in text or "\ufeff" in text:
            lines = [line and line.rstrip("\r").removeprefix("\ufeff") for line in lines]
        if len(data) > LINE_MAX and any(line is not None and len(line) > LINE_MAX for line in lines):
            lines = [None if line is None or len(line) > LINE_MAX else line for line in lines]
        return lines

    @property
    def tail(self) -> bytes:
        """The digest of what was taken last."""
        return tail_of(self._before)

    def take(self, chunk: LogChunk) -> None:
        """Go on behind a chunk, the next one."""
        taken, self._held = self._held[: chunk.end - self.place], self._held[chunk.end - self.place :]
        self._before = (self._before + taken)[-TAIL_BYTES:]
        self.place = chunk.end


def tail_of(data: bytes) -> bytes:
    """The digest of the last of some bytes."""
    return hashlib.blake2b(data[-TAIL_BYTES:], digest_size=16).digest()


class RawBytes:
    """A file as it is, from a byte on; others may read it meanwhile."""

    def __init__(self, raw: BinaryIO, at: int) -> None:
        self._raw = raw
        self._at = at

    def read(self, most: int) -> bytes:
        """Some bytes; none at the end, as it is now."""
        self._raw.seek(self._at)
        data = self._raw.read(most)
        self._at += len(data)
        return data


class UnpackedBytes:
    """A gzip file from its beginning, unpacked. `broken`: what is wrong with its end."""

    def __init__(self, raw: BinaryIO) -> None:
        self.broken = ""
        self._stream = gzip.GzipFile(fileobj=raw)

    def read(self, most: int) -> bytes:
        """Some bytes; none at the end, also where that is missing or damaged."""
        try:
            return self._stream.read1(most)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            self.broken = str(error)
            return b""


class OpenLog:
    """A log that can be read more than once. `inode` 0: it is no file of its own."""

    def __init__(self, raw: BinaryIO, name: str) -> None:
        self.name = name
        self._raw = raw
        self._unpacked: UnpackedBytes | None = None
        self._start = raw.tell()
        try:
            self.inode = os.fstat(raw.fileno()).st_ino & INODE_MAX
        except OSError:
            self.inode = 0
        kind = raw.read(2)
        if kind in PACKED:
            raise UnreadableLog(f"{name} is packed with {PACKED[kind]}: unpack it into a pipe, and give - as FILE")
        self.packed = kind == GZIP
        self.size = raw.seek(0, os.SEEK_END) - self._start  # bytes, as they are stored

    def head(self, *, last: bool = True) -> bytes | None:
        """The first line that is no remark, which a log is known by; None where it is not whole yet.

        `last`: the log is there to its end, so that a line without its end counts.
        """
        data = self._begun_at(0)(HEAD_BYTES)
        lines = data.split(b"\n")
        if not last and len(data) < HEAD_BYTES:
            lines.pop()
        return next((line for line in lines if line.strip() and not line.startswith(b"#")), None)

    def tail_at(self, place: int) -> bytes | None:
        """The digest of what stands before a place; None where the log is shorter."""
        reading = self.reading(place)
        return reading.tail if reading.place == place else None

    def reading(self, place: int = 0) -> LogBytes:
        """Read from a place on, or from its end where it is shorter. Of a packed log there is one reading at a time."""
        begin = max(0, place - TAIL_BYTES)
        read = self._begun_at(begin)
        before = b""
        while len(before) < place - begin and (more := read(place - begin - len(before))):
            before += more
        return LogBytes(read, begin + len(before), before)

    def _begun_at(self, place: int) -> Callable[[int], bytes]:
        """Reads on from a place; empty at the end, and where the log is damaged."""
        if not self.packed:
            return RawBytes(self._raw, self._start + place).read
        self._raw.seek(self._start)
        self._unpacked = unpacked = UnpackedBytes(self._raw)
        while place and (skipped := len(unpacked.read(min(place, CHUNK_BYTES)))):
            place -= skipped
        return unpacked.read

    @property
    def broken(self) -> str:
        """What is wrong with its end; empty where nothing is."""
        why = self._unpacked.broken if self._unpacked is not None else ""
        return f"{self.name} is broken off or damaged ({why}): what came before is stored" if why else ""

    def done(self) -> int:
        """How many of `size` are read."""
        return self._raw.tell() - self._start

    def close(self) -> None:
        """Close the file."""
        self._raw.close()


class LogFile(OpenLog):
    """A log by its path, - for standard input."""

    def __init__(self, path: str) -> None:
        raw = sys.stdin.buffer if path == "-" else Path(path).open("rb")  # noqa: SIM115
        super().__init__(seekable(raw), "standard input" if path == "-" else Path(path).name)

    def lines(self) -> Iterator[str | None]:
        """The lines from the first on, without their ends; None for one over LINE_MAX."""
        reading = self.reading()
        while chunk := reading.next(last=True):
            yield from chunk.lines
            reading.take(chunk)


def seekable(stream: BinaryIO) -> BinaryIO:
    """The stream, or a copy on disk of what only comes once, as from a pipe."""
    if stream.seekable():
        return stream
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - both are closed with the log
    shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return cast(BinaryIO, copy)
