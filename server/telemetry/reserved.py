"""The file of one process's metrics: its space is taken before it is used, so that a full disk ends no process."""

from __future__ import annotations

import logging
import mmap
import os
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

log = logging.getLogger("evenkeel.metrics")

FIRST_BYTES = 1 << 18
PER_VALUE = 32  # bytes beside the key, at most


class Reserved(MmapedDict):
    """Writing to a hole of a mapped file is SIGBUS where the disk has no block for it: here are no holes.

    Where there is no space to take, what this process counts stays in its own memory, and /metrics shows what stood
    in the file.
    """

    def __init__(self, filename: str) -> None:
        path = Path(filename)
        with path.open("ab") as file:
            taken = os.fstat(file.fileno()).st_size > 0 or take(file.fileno(), 0, FIRST_BYTES)
        if not taken:
            path.unlink()
            filename = f"/proc/self/fd/{os.memfd_create('metrics')}"
        super().__init__(filename)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        while self._used + len(key.encode()) + PER_VALUE > self._capacity:
            self._grow(2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _grow(self, capacity: int) -> None:
        kept = self._m[: self._used]
        if not take(self._f.fileno(), self._capacity, capacity):
            self._f.close()
            self._f = os.fdopen(os.memfd_create("metrics"), "r+b")
            self._f.truncate(capacity)
        self._m = mmap.mmap(self._f.fileno(), capacity)
        self._m[: self._used] = kept
        self._capacity = capacity


def take(file: int, begin: int, end: int) -> bool:
    """Give the file its space from `begin` up to `end`, in bytes; False where there is none."""
    try:
        os.posix_fallocate(file, begin, end - begin)
    except OSError as error:
        log.warning("no space for metrics, some are counted in memory only: %s", error.strerror)
        return False
    return True
