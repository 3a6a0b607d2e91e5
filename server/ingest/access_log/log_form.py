"""The form of a log that is known only as it grows: found out by its first lines, and again as there are more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from server.receivers.access_log.detect import SAMPLE, Detected, LogForm, detect
from server.receivers.access_log.latency import LogAsk

AGAIN = 2  # times as many lines as at the last look
ENOUGH = 300  # lines: what is asked for and in none of them will not come


class GrowingForm:
    """Finds out the form of a log that is followed. `found` is the last."""

    def __init__(self, asked: LogAsk, zone: tzinfo) -> None:
        self.found: Detected | None = None
        self._asked = asked
        self._zone = zone
        self._sample: list[str] = []
        self._judged = 0  # lines of the sample that the last look was at

    def of(self, lines: Sequence[str | None]) -> LogForm:
        """The form of these lines, which come next. ValueError: what was asked for is in none of many."""
        if len(self._sample) < SAMPLE:
            self._sample += [line for line in lines[: SAMPLE - len(self._sample)] if line]
        if self.found is None or len(self._sample) >= self._judged * AGAIN:
            self._judged = max(1, len(self._sample))
            self.found = self._look()
        return self.found.form

    def _look(self) -> Detected:
        try:
            return detect(self._sample, self._asked, self._zone)
        except ValueError:
            if len(self._sample) >= ENOUGH or self._asked.format:
                raise
            return self.found or detect(self._sample, LogAsk(unit=self._asked.unit), self._zone)
