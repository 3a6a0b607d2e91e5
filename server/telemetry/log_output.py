"""Log lines to a stream, by a thread of its own: whoever reads our output may stall without stalling us."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from typing import IO

WAITING_LINES = 20_000
GATHER_S = 0.02  # lines that come together are written together
FLUSH_S = 1.0


class Output(logging.Handler):
    """Bounded: what comes while the stream takes nothing is counted, and said when it takes something again."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self.stream = stream
        self.dropped = 0
        self._begin_anew()
        os.register_at_fork(after_in_child=self._begin_anew)  # threads do not survive a fork

    def _begin_anew(self) -> None:
        self._waiting: deque[str] = deque()
        self._some = threading.Event()
        self._writing = False
        self._stopping = False
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._waiting) >= WAITING_LINES:
            self.dropped += 1
            return
        try:
            self._waiting.append(self.format(record))
        except Exception:
            self.handleError(record)
            return
        if not self._some.is_set():
            self._some.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_forever, name="log output", daemon=True)
            self._thread.start()

    def _write_forever(self) -> None:
        while not self._stopping:
            self._some.wait()
            time.sleep(0 if self._stopping else GATHER_S)
            self._writing = True
            self._some.clear()
            with contextlib.suppress(OSError, ValueError):  # nobody reads any more, or it is closed
                self._put(self._take())
            self._writing = False

    def _take(self) -> str:
        """Everything that waits, as text."""
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        dropped, self.dropped = self.dropped, 0
        if dropped:
            said = {"name": "evenkeel.logs", "levelno": logging.WARNING, "levelname": "WARNING"}
            message = f"{dropped} log lines were not written: the output took none"
            lines.append(self.format(logging.makeLogRecord(said | {"msg": message})))
        return "".join(f"{line}\n" for line in lines)

    def _put(self, text: str) -> None:
        try:
            number = self.stream.fileno()
        except OSError:  # not a file
            self.stream.write(text)
            return
        # Not through the stream: a child forked while its lock is held could never write.
        left = memoryview(text.encode("utf-8", "backslashreplace"))
        while left:
            left = left[os.write(number, left) :]

    def flush(self) -> None:
        """Wait until what was logged is written, for at most FLUSH_S."""
        deadline = time.monotonic() + FLUSH_S
        while (self._waiting or self._writing) and time.monotonic() < deadline:
            time.sleep(GATHER_S / 4)

    def close(self) -> None:
        """Write what waits, and stop."""
        self.flush()
        self._stopping = True
        self._some.set()
        super().close()
