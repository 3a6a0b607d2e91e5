"""The lines of a log: from a file, a pipe or standard input, gzip or not, each of them bounded."""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

LINE_MAX = 65_536  # bytes; what is longer is no line of an access log
GZIP = b"\x1f\x8b"
PACKED = {b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "Zstandard", b"PK": "zip"}


class UnreadableLog(Exception):
    """The file is of a kind that is not read; says which."""


class LogFile:
    """A log that can be read more than once. `broken` says where its end is missing."""

    def __init__(self, path: str) -> None:
        self.name = "standard input" if path == "-" else Path(path).name
        self.broken = ""
        self._raw = seekable(sys.stdin.buffer if path == "-" else Path(path).open("rb"))  # noqa: SIM115
        self._start = self._raw.tell()
        head = self._raw.read(2)
        if head in PACKED:
            raise UnreadableLog(f"{self.name} is packed with {PACKED[head]}: unpack it into a pipe, and give - as FILE")
        self._packed = head == GZIP
        self._raw.seek(0, 2)
        self.size = self._raw.tell() - self._start  # bytes, as they are stored

    def lines(self) -> Iterator[str | None]:
        """The lines from the first on, without their ends; None for one over LINE_MAX."""
        self._raw.seek(self._start)
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=self._raw)) if self._packed else self._raw
        try:
            while line := stream.readline(LINE_MAX + 1):
                if len(line) > LINE_MAX:
                    while line and not line.endswith(b"\n"):
                        line = stream.readline(LINE_MAX)
                    yield None
                else:
                    yield line.decode("utf-8", "replace").rstrip("\r\n").removeprefix("\ufeff")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            self.broken = f"{self.name} is broken off or damaged ({error}): what came before is stored"

    def done(self) -> int:
        """How many of `size` are read."""
        return self._raw.tell() - self._start

    def close(self) -> None:
        self._raw.close()


def seekable(stream: BinaryIO) -> BinaryIO:
    """The stream, or a copy on disk of what only comes once, as from a pipe."""
    if stream.seekable():
        return stream
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - both are closed with the log
    shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return cast(BinaryIO, copy)
