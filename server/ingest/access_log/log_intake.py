"""One log into the database, chunk by chunk, each of them once: however often it is given, and wherever it broke off.

Outcomes of a chunk are stored under a claim of the log and of where the chunk begins, whose answer is where it ended;
then the place of the log is moved there. Whoever begins between the two, or at the same time, learns the end so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from server.ingest.access_log.log_file import TAIL_BYTES, LogBytes, LogChunk, OpenLog
from server.ingest.access_log.log_place import LogPlace, chunk_digest, known_by
from server.ingest.access_log.log_sink import LogSink
from server.ingest.access_log.log_taking import LogPart, LogPiece, Report
from server.ingest.batch import Claim
from server.receivers.access_log.detect import LogForm, LogReader

WARM_BYTES = 1 << 18  # before the place: what a line says may depend on some that stand above it
REMARK = "#"
FormOf = Callable[[Sequence[str | None]], LogForm]
SAME = b"evenkeel log"  # the body of every claim: whatever the bytes, they are those of that log
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LogPlace).decode


class LogIntake:
    """A log and how far it is stored. `form_of` says which form lines have.

    `live`: it grows, and a line without its end is not there yet.
    """

    def __init__(self, importer: LogSink, log: OpenLog, form_of: FormOf, *, live: bool = False, shift: int = 0) -> None:
        self.importer = importer
        self.log = log
        self.form_of = form_of
        self.live = live
        self.shift = shift
        self.place = LogPlace()
        self.reader: LogReader | None = None
        self._form: LogForm | None = None
        self._known = b""
        self._number = 0
        self._reading: LogBytes | None = None
        self._chunk: LogChunk | None = None  # being stored
        self._piece = LogPiece()  # what it says
        self._waiting: list[LogPart] = []  # what of that is not stored yet

    async def find(self) -> bool:
        """Find out how far it is stored; False where it has no whole line yet. ApiError UNAVAILABLE."""
        head = self.log.head(last=not self.live)
        if head is None:
            return False
        known = known_by(self.importer.service, head, moved=self.shift != 0)
        places = await self.importer.places(known)
        there = {number: place for number, place in places.items() if place.is_in(self.log, live=self.live)}
        self._number = max(there, key=lambda number: there[number].end, default=max(places, default=-1) + 1)
        self.place = there.get(self._number, LogPlace())
        self._known = known
        return True

    def begin(self, reader: LogReader | None = None) -> None:
        """Read on from its place: with the reader of what came before it, or one that is given some of that."""
        first = self.log.reading().next(last=True)
        self._form = self.form_of(first.lines if first else [])
        self.reader = reader or warmed(self._form, self.log, self.place.end)
        if not self.live:
            for _ in self.reader.rest():  # was stored as what has no end
                pass
        self._reading = self.log.reading(self.place.end)
        self._chunk = None

    async def next(self, *, last: bool) -> LogChunk | None:
        """Store the next chunk; None where there is none. `last`: nothing more comes.

        Raises ApiError; after UNAVAILABLE and IN_FLIGHT it can be called again.
        """
        assert self._reading is not None
        if self._chunk is None:
            self._read(self._reading.next(last=last))
        while self._chunk is not None and (elsewhere := await self._store(self._chunk)) is not None:
            self._turn(self._chunk, elsewhere)
        chunk = self._chunk
        if chunk is not None:
            place = self._end(chunk)
            await self._move(place)
            self._reading.take(chunk)
            self.importer.report.join(self._piece.report)
            self.place, self._chunk = place, None
        return chunk

    async def _move(self, place: LogPlace) -> None:
        await self.importer.move(self._known, self._number, place, self._piece.report)

    def _read(self, chunk: LogChunk | None) -> None:
        self._chunk = chunk
        if chunk is not None:
            form = self.form_of(chunk.lines)
            if self.reader is None or form != self._form:
                self._form, self.reader = form, form.reader()
            self._piece = self.importer.read(
                chunk.lines, self.reader, self.place.lines + 1, self.shift, final=chunk.final and not self.live
            )
            self._waiting = [self._piece.timed, self._piece.untimed]

    def _end(self, chunk: LogChunk) -> LogPlace:
        return LogPlace(chunk.end, self.place.lines + len(chunk.lines), chunk.tail, self.log.inode)

    async def _store(self, chunk: LogChunk) -> LogPlace | None:
        """Store what is not yet; None once it is. Else what was stored under its claim before, which ends elsewhere.

        What has a latency goes first, also where that is nothing: its claim says where the chunk ends.
        """
        digests = {self._digest(chunk, part): part for part in self._waiting if part.outcomes or part.timed}
        self.importer.prepare(self._known, self._number, self._end(chunk), digests)
        while self._waiting:
            part = self._waiting[0]
            if part.outcomes or part.timed:
                stored = await self.importer.store(
                    part, Claim(self._digest(chunk, part), SAME, _encode(self._end(chunk)))
                )
                earlier = _decode(stored.answer)
                if stored.repeated and not self._is_end(earlier, chunk):
                    return earlier
                if not stored.repeated:
                    self._piece.report.count(part)
                elif part.timed:
                    self._piece.report = Report(known=len(chunk.lines))
            self._waiting.pop(0)
        return None

    def _digest(self, chunk: LogChunk, part: LogPart) -> bytes:
        return chunk_digest(self._known, self._number, chunk.start, timed=part.timed)

    def _is_end(self, place: LogPlace, chunk: LogChunk) -> bool:
        """Whether a chunk ends at a place of this log."""
        if self.live and place.end < TAIL_BYTES and place.inode != self.log.inode:
            return False
        return (place.end, place.tail) == (chunk.end, chunk.tail)

    def _turn(self, chunk: LogChunk, elsewhere: LogPlace) -> None:
        """Read the chunk again: up to where it was stored before, or as one of another log that begins alike."""
        end = elsewhere.end if elsewhere.is_in(self.log, live=self.live) else chunk.end
        if end == chunk.end:
            self._number += 1
        self.begin()
        assert self._reading is not None
        self._read(self._reading.next(end))


def warmed(form: LogForm, log: OpenLog, place: int) -> LogReader:
    """A reader that has read what stands before a place: remarks at the top, and the last lines."""
    reader = form.reader()
    top = log.reading().next(min(place, WARM_BYTES)) if place else None
    for line in top.lines if top else ():
        if line is None or not line.startswith(REMARK):
            break
        reader.read(line)
    reading = log.reading(max(0, place - WARM_BYTES))
    while reading.place < place and (chunk := reading.next(place)) is not None:
        for line in chunk.lines:
            if line:
                reader.read(line)
        reading.take(chunk)
    return reader
