"""What a log says to an Evenkeel elsewhere, by the address that outcomes are sent to."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from server.ingest.access_log.log_place import LogPlace
from server.ingest.access_log.log_taking import Aborted, LogPart, LogTaking, Report
from server.ingest.access_log.sent_log import LogIsSent, LogPost, SentLog, sent_directory
from server.ingest.batch import Claim, StoredBatch
from server.ingest.outcome import EPOCH
from server.kernel.errors import ApiError
from server.kernel.remote import NotAsked, RemoteAnswer, parsed, post_bytes, said_of
from server.kernel.settings import Environment

BATCH = 1_000  # outcomes a request: what INGEST_MAX_BATCH_ITEMS is where nobody has changed it
PATH = "/api/v1/outcomes?partial=true"
UNTIMED = "&timed=false"
WAIT_S, WAIT_MAX_S = 1.0, 60.0  # from, where an answer does not say how long, and up to
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})  # what ends by itself
TOO_LARGE = 413
KEEP_S = 2  # between tries to write down how far it is
HELP = "Nothing of a log is lost. Make room there, let this user write to it, or set DATA_DIR to another directory."
_encode = msgspec.json.Encoder().encode_lines


class Receiver(NamedTuple):
    """The Evenkeel that is sent to."""

    url: str
    key: str


class LogSender(LogTaking):
    """Sends logs as outcomes of one service, each line once: how far is kept under `data_dir`.

    Routes are as the paths say; patterns of a service are there, not here. ApiError: `data_dir` cannot be written to.
    """

    def __init__(
        self, env: Environment, to: Receiver, service: str, *, aborted: Aborted = "bad", live: bool = False
    ) -> None:
        super().__init__(env, service, aborted=aborted, live=live)
        self.to = to
        self.refused: Counter[str] = Counter()  # why, of outcomes that were not taken there
        with kept_in(env.data_dir, "INVALID"):
            self._directory: Path = sent_directory(env.data_dir, to.url)
        self._logs: dict[bytes, SentLog] = {}
        self._why = ""  # it waits; empty: it does not
        self._wait_until = 0.0  # monotonic
        self._waited_s = 0.0  # the last time that no answer said how long

    async def places(self, known: bytes) -> dict[int, LogPlace]:
        """How far logs that begin so were sent; what was about to be, is sent first. ApiError."""
        log = self._logs.get(known)
        if log is None:
            log = self._logs[known] = self._opened(known)
        while log.held.next is not None and log.held.next.posts:
            await self._deliver(log.held.next.posts[0], log)
        with kept_in(self._directory):
            log.moved()
        return dict(log.held.places)

    def _opened(self, known: bytes) -> SentLog:
        try:
            with kept_in(self._directory, "INVALID"):
                return SentLog(self._directory, known)
        except LogIsSent:
            raise ApiError("CONFLICT", "Another command is sending a log that begins so.") from None
        except ValueError as error:
            raise ApiError("INVALID", f"How far it was sent cannot be read in {self._directory}: {error}") from None

    def prepare(self, known: bytes, number: int, place: LogPlace, parts: Mapping[bytes, LogPart]) -> None:
        """Write down what is sent next. ApiError UNAVAILABLE."""
        tail = f"{place.end}-{place.tail.hex()[:16]}"
        posts = [post for digest, part in parts.items() for post in posts_of(part, digest, tail)]
        with kept_in(self._directory):
            self._logs[known].prepare(number, place, posts)

    async def store(self, part: LogPart, claim: Claim | None) -> StoredBatch:
        """Send what was written down of a claim; of what comes through a pipe, the part itself. ApiError."""
        assert claim is not None
        digest = claim.digest.hex()
        log = next((log for log in self._logs.values() if log.posts(digest)), None)
        if log is None and not self._logs:
            for post in posts_of(part, claim.digest, "pipe"):
                await self._deliver(post, None)
        while log is not None and (posts := log.posts(digest)):
            await self._deliver(posts[0], log)
        return StoredBatch(claim.answer, repeated=False)

    async def move(self, known: bytes, number: int, place: LogPlace, report: Report) -> None:
        """All of it was sent. ApiError UNAVAILABLE."""
        with kept_in(self._directory):
            self._logs[known].moved()

    async def close(self) -> None:
        """Let other commands go on."""
        for log in self._logs.values():
            log.close()

    async def _deliver(self, post: LogPost, log: SentLog | None) -> None:
        """Send one; ApiError UNAVAILABLE where it is to be tried again, at the soonest when the answer said so."""
        if self._why and time.monotonic() < self._wait_until:
            raise self._waiting()
        with kept_in(self._directory):
            if log is not None:
                log.keep()
        answer = await self._posted(post)
        halves = halves_of(post) if answer.status == TOO_LARGE else ()
        if not halves:
            self._take(answer)
        with kept_in(self._directory):
            if log is not None and halves:
                log.halved(post, halves)
            elif log is not None:
                log.sent(post)
        for half in halves if log is None else ():
            await self._deliver(half, None)

    async def _posted(self, post: LogPost) -> RemoteAnswer:
        headers = {
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
            "Idempotency-Key": post.key,
        }
        path = PATH if post.timed else PATH + UNTIMED
        try:
            return await asyncio.to_thread(post_bytes, self.to.url + path, self.to.key, post.body, headers)
        except NotAsked as error:
            raise self._later(str(error), None) from None

    def _take(self, answer: RemoteAnswer) -> None:
        """What an answer says. ApiError: it was not taken."""
        if answer.status in AGAIN:
            raise self._later(f"{self.to.url} answers {answer.status}: {said_of(answer)}", answer.retry_after_s)
        found = parsed(answer.body)
        if answer.status not in (201, 202) or not isinstance(found, dict) or "accepted" not in found:
            raise ApiError("INVALID", f"{self.to.url} answers {answer.status}: {said_of(answer)}")
        self._why, self._waited_s = "", 0.0
        if refused := found.get("refused_indexes"):
            first: Any = (found.get("refused") or [{}])[0]
            self.refused[f"{first.get('field')}: {first.get('reason')}"] += len(refused)

    def _later(self, detail: str, retry_after_s: float | None) -> ApiError:
        """To be tried again, after what the answer says, else after twice as long as the last time."""
        self._waited_s = min(WAIT_MAX_S, self._waited_s * 2 or WAIT_S)
        wait_s = self._waited_s if retry_after_s is None else min(WAIT_MAX_S, retry_after_s)
        self._why, self._wait_until = detail, time.monotonic() + wait_s
        return self._waiting()

    def _waiting(self) -> ApiError:
        """Why, and for how long still. Made anew: an error's traceback grows each time that it is raised."""
        left_s = self._wait_until - time.monotonic()
        return ApiError("UNAVAILABLE", self._why, retry_after=max(1, ceil(left_s)))


@contextmanager
def kept_in(directory: Path, code: str = "UNAVAILABLE") -> Iterator[None]:
    """Raise what keeps a directory from being written to as ApiError, which says what to do."""
    try:
        yield
    except OSError as error:
        said = f"{directory} cannot be written to ({error.strerror or error}), where it is kept how far logs were sent."
        raise ApiError(code, f"{said} {HELP}", retry_after=KEEP_S) from None


def posts_of(part: LogPart, digest: bytes, tail: str) -> list[LogPost]:
    """The requests of a part of a log, by what it is and where it ends."""
    outcomes = [
        structs.replace(outcome, timestamp=EPOCH + timedelta(microseconds=at))
        for outcome, at in zip(part.outcomes, part.times, strict=True)
    ]
    return [
        LogPost(
            digest.hex(),
            f"{digest.hex()}-{tail}-{n}",
            part.timed,
            gzip.compress(_encode(outcomes[first : first + BATCH]), 1, mtime=0),
        )
        for n, first in enumerate(range(0, len(outcomes), BATCH))
    ]


def halves_of(post: LogPost) -> Sequence[LogPost]:
    """Two in the place of one; none where it is of one outcome."""
    lines = gzip.decompress(post.body).splitlines(keepends=True)
    if len(lines) < 2:
        return ()
    middle = len(lines) // 2
    return [
        structs.replace(post, key=f"{post.key}{name}", body=gzip.compress(b"".join(half), 1, mtime=0))
        for name, half in (("a", lines[:middle]), ("b", lines[middle:]))
    ]
