"""The stream of a page: each second, what changed, once for all who look at the same.

A channel is one distinct view (page, arguments, scopes). It makes its regions when
a picture arrives, or after a second without one, and hands the changed ones to its
clients' queues. A client whose queue is full is dropped; it reconnects by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial

import msgspec
from msgspec import Struct

from dashboard.shared.live import PAGES, Ask, LivePage, MadeRegion, make
from server.auth.identity import Identity
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.parts import Parts

log = logging.getLogger("evenkeel.stream")

QUIET_S = 1.0  # without a new picture, its age is told this often
QUEUE = 8  # messages; a client so many seconds behind is dropped
SLACK = 10  # seconds by which another process may have shown something later than its picture
CHANNELS_MAX = 200  # distinct views a process makes each second
PERSONS_CHANNELS_MAX = 50  # of them one person has opened: nobody takes the live page from everybody else
LOOKED_S = 5.0  # how often a page is told who looks
STREAMS_MAX = 12  # of one session; a hidden tab has none


class Message(Struct):
    """One event. `at` is the picture's time in Unix seconds, `age_s` its age when this was made."""

    seq: int
    at: float | None
    age_s: float | None
    title: str
    state: str  # the worst state as a word; empty: not known
    regions: dict[str, str]

    def event(self) -> bytes:
        """As server-sent event text. JSON has no line breaks, so one `data` line is enough."""
        return b"id: %d\nevent: picture\ndata: %s\n\n" % (self.seq, msgspec.json.encode(self))


class Client:
    """One stream of somebody. Once `ended` says why nothing more comes, what was queued is not sent."""

    def __init__(self, who: Identity, drop: Callable[[], None]) -> None:
        self.who = who
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE)
        self.ended = ""
        self._drop = drop  # closes the connection of a client that does not read

    def offer(self, event: bytes) -> None:
        """Queue an event, or drop the client that does not keep up."""
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.end("slow")
            self._drop()

    def end(self, why: str) -> None:
        """No more for this client: `slow`, `signed out`, `gone` or `stopping`. Whoever waits at the queue wakes."""
        if self.ended:
            return
        self.ended = why
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(b"")


class Channel:
    """One distinct view and who looks at it. It runs for as long as somebody does."""

    def __init__(self, parts: Parts, page: LivePage, ask: Ask, opened_by: int) -> None:
        self.parts = parts
        self.page = page
        self.ask = ask
        self.clients: set[Client] = set()
        self.opened_by = opened_by  # the person for whom it was made
        self._made: MadeRegion | None = None
        self._changed: dict[str, int] = {}  # region -> the sequence with which it changed last
        self._arrived = asyncio.Event()
        self._told = float("-inf")  # when the page was told who looks, of the loop's clock

    async def run(self) -> None:
        """Make and send until the last client has gone."""
        unsubscribe = self.parts.relay.subscribe(lambda picture: self.wake(), self.stop)
        try:
            while self.clients:
                await self._step()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(QUIET_S):
                        await self._arrived.wait()
                self._arrived.clear()
        finally:
            unsubscribe()

    def wake(self) -> None:
        """Something that the page shows has changed: make it now."""
        self._arrived.set()

    def leave(self, client: Client) -> None:
        """The client is gone; with the last one the channel ends at once."""
        self.clients.discard(client)
        if not self.clients:
            self._arrived.set()

    def stop(self) -> None:
        """The process stops: nobody is kept."""
        for client in list(self.clients):
            client.end("stopping")
            self.leave(client)

    async def _tell(self) -> None:
        """Let the page know who looks."""
        now = asyncio.get_running_loop().time()
        if now - self._told >= LOOKED_S:
            self._told = now
            await self.page.looked(self.parts, self.ask, [client.who.name for client in self.clients])

    async def _step(self) -> None:
        try:
            await self._tell()
            made = await make(self.page, self.parts, self.ask, shared_clock.now())
        except Exception:
            # The page stays as it is and its watchdog says so; the next second is another try.
            log.exception("the regions of %s could not be made", self.page.name)
            return
        before = self._made.regions if self._made else {}
        changed = {id_: html for id_, html in made.regions.items() if before.get(id_) != html}
        self._made = made
        self._changed.update(dict.fromkeys(changed, made.shell.seq))
        event = message(made, changed).event()
        for client in list(self.clients):
            if not client.ended:
                client.offer(event)

    def join(self, client: Client, since: int | None) -> None:
        """Begin to send. `since` is the last sequence the client has: what is older it need not get again."""
        self.clients.add(client)
        self._told = float("-inf")
        if self._made is None:
            return
        seq = self._made.shell.seq
        known = since - SLACK if since is not None and since <= seq else -1
        missed = {id_: html for id_, html in self._made.regions.items() if self._changed[id_] >= known}
        client.offer(message(self._made, missed).event())


def message(made: MadeRegion, regions: dict[str, str]) -> Message:
    return Message(made.shell.seq, made.shell.at, made.shell.age_s, made.title, made.shell.state, regions)


class Hub:
    """Every channel of one process."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._channels: dict[tuple[str, Ask], Channel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        for topic in sorted({topic for page in PAGES.values() for topic in page.wakes}):
            parts.bus.subscribe(topic, partial(self._signalled, topic))

    def _signalled(self, topic: str, number: int) -> None:
        for channel in self._channels.values():
            if topic in channel.page.wakes:
                channel.wake()

    def join(self, page: LivePage, ask: Ask, client: Client, since: int | None) -> Callable[[], None]:
        """Send the page's regions to the client; returns how to leave. ApiError UNAVAILABLE: too many are open."""
        who = client.who
        if self._streams(who.session_id) >= STREAMS_MAX:
            raise ApiError("UNAVAILABLE", f"{STREAMS_MAX} live pages are open here: close one.", retry_after=5)
        channel = self._channels.get((page.name, ask))
        if channel is None:
            channel = self._open(page, ask, who)
        channel.join(client, since)
        return lambda: channel.leave(client)

    def _streams(self, session_id: int) -> int:
        return sum(each.who.session_id == session_id for one in self._channels.values() for each in one.clients)

    def _open(self, page: LivePage, ask: Ask, who: Identity) -> Channel:
        mine = sum(each.opened_by == who.id for each in self._channels.values())
        if len(self._channels) >= CHANNELS_MAX or mine >= PERSONS_CHANNELS_MAX:
            raise ApiError("UNAVAILABLE", "Too many different views are open.", retry_after=5)
        key = (page.name, ask)
        channel = self._channels[key] = Channel(self.parts, page, ask, opened_by=who.id)
        task = asyncio.create_task(self._run(key, channel), name=f"channel {page.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return channel

    async def _run(self, key: tuple[str, Ask], channel: Channel) -> None:
        try:
            await channel.run()
        finally:
            if self._channels.get(key) is channel:
                del self._channels[key]
            channel.stop()
