"""`python -m server import FILE --service NAME --follow`: an access log while it grows."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.kernel.terminal import say, say_over
from server.kernel.text import plural

if TYPE_CHECKING:
    from server.ingest.access_log.follow import Follow
    from server.ingest.access_log.importer import Importer
    from server.ingest.access_log.log_form import GrowingForm
    from server.ingest.access_log.log_pipe import LogPipe
    from server.ingest.access_log.log_sender import LogSender, Receiver
    from server.ingest.access_log.log_sink import LogSink
    from server.ingest.access_log.log_taking import Report
    from server.kernel.settings import Environment
    from server.slo.policy.policies import Policies

POLICY_S = 5.0
LINE_S = {True: 1.0, False: 60.0}  # between two lines of progress: on a terminal, and in a log
RETRY_S = 1.0
SHOWN = 200  # characters of a line


class ProgressLine:
    """Says now and then how far it is: on a terminal in one line, elsewhere once a minute where something came."""

    def __init__(self, name: str, report: Report, form: GrowingForm) -> None:
        self.name = name
        self.report = report
        self._form: GrowingForm | None = form  # until it is said
        self.followed: Follow | LogPipe | None = None
        self._terminal = sys.stderr.isatty()
        self._said_at = -math.inf
        self._said = ""

    def show(self) -> None:
        """Say it, unless it was said a moment ago, and before that once how the log is read."""
        assert self.followed is not None
        if self._form is not None and self.followed.lines:
            self.tell(f"{self.name}: {of_form(self.report, self._form)}")
            self._form = None
        text = self.text()
        if text == self._said or time.monotonic() - self._said_at < LINE_S[self._terminal]:
            return
        self._said, self._said_at = text, time.monotonic()
        say_over(text, sys.stderr)

    def text(self) -> str:
        """How far it is."""
        assert self.followed is not None
        lines = f"{self.followed.lines:,} lines read, {self.report.stored:,} outcomes stored"
        behind = self.followed.behind
        return f"{self.name}: {lines}, {behind:,} bytes behind" if behind else f"{self.name}: {lines}"

    def tell(self, text: str) -> None:
        """Say something else, on a line of its own."""
        if self._terminal and self._said:
            say("", err=True)
        say(text, err=True)


async def follow(env: Environment, url: str, file: str, form: GrowingForm, options: dict[str, Any]) -> Report:
    """Follow a log until SIGTERM or Ctrl-C, or until the end of standard input."""
    from server.ingest.access_log.importer import Importer
    from server.kernel.bus import Bus
    from server.kernel.db import Database
    from server.slo.policy.policies import Policies

    stop = stopping()
    db = Database(url, "evenkeel import", outcomes_url=env.outcomes_database_url)
    policies = Policies(env, db, Bus(db, None))
    importer = Importer(
        env, db, policies.thresholds_us, options["service"], aborted=options["aborted"], tell=True, live=True
    )
    line = line_of(importer, file, form, stop)
    assert line.followed is not None
    try:
        if await ready(importer, policies, stop, line):
            with following(policies, importer):
                await line.followed.run()
    finally:
        await importer.close()
        await db.close()
    line.tell(line.text() + ".")
    return importer.report


async def follow_to(env: Environment, to: Receiver, file: str, form: GrowingForm, options: dict[str, Any]) -> LogSender:
    """The same, with what it says sent to an Evenkeel elsewhere."""
    from server.ingest.access_log.log_sender import LogSender

    sender = LogSender(env, to, options["service"], aborted=options["aborted"], live=True)
    line = line_of(sender, file, form, stopping())
    assert line.followed is not None
    try:
        await line.followed.run()
    finally:
        await sender.close()
    line.tell(line.text() + ".")
    return sender


def stopping() -> asyncio.Event:
    """Set at SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def line_of(store: LogSink, file: str, form: GrowingForm, stop: asyncio.Event) -> ProgressLine:
    """What says how far it is, with what follows the log."""
    from server.ingest.access_log.follow import Follow, FollowTerms
    from server.ingest.access_log.log_pipe import LogPipe

    line = ProgressLine("standard input" if file == "-" else Path(file).name, store.report, form)
    terms = FollowTerms(form, stop, line.tell, line.show)
    line.followed = LogPipe(store, sys.stdin.fileno(), terms) if file == "-" else Follow(store, Path(file), terms)
    return line


async def ready(importer: Importer, policies: Policies, stop: asyncio.Event, line: ProgressLine) -> bool:
    """Wait for the database, take the policy in force, and make room; False where it was stopped before."""
    from server.kernel.db import AWAY, why_away

    said = False
    while not stop.is_set():
        try:
            async with policies.db.act() as connection:
                await policies.follow(connection)
                await importer.take_patterns(connection)
            await importer.make_partitions()
            return True
        except AWAY as error:
            if not said:
                line.tell(f"Waiting, nothing is lost: {why_away(error)}")
            said = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S):
                    await stop.wait()
    return False


@contextlib.contextmanager
def following(policies: Policies, importer: Importer) -> Any:
    """Follow meanwhile which thresholds are counted, and the patterns of routes."""

    async def forever() -> None:
        from server.kernel.db import AWAY

        while True:
            await asyncio.sleep(POLICY_S)
            with contextlib.suppress(*AWAY):
                async with policies.db.act() as connection:
                    await policies.follow(connection)
                    await importer.take_patterns(connection)

    task = asyncio.get_running_loop().create_task(forever())
    try:
        yield
    finally:
        task.cancel()


def of_form(report: Report, form: GrowingForm) -> str:
    """What a log is read as; or that nothing of it is a request, with the first line as proof."""
    from server.receivers.access_log.entry import LeftKind

    found, left = form.found, report.left
    if found is None:
        return "no line yet."
    if report.stored or report.known or report.outside.count or left[LeftKind.NO_REQUEST].count:
        return f"read as {found.form.name}. Latency: {found.took or 'none, ' + found.hint}."
    first = min((left[kind].first[0] for kind in (LeftKind.REFUSED, LeftKind.OTHER) if left[kind].first), default=None)
    if first is None:
        return f"read as {found.form.name}."
    return (
        f"no line of it is a request of an access log so far. Line {first[0]:,}: {first[2]}: {first[1].strip()[:SHOWN]}"
    )


def begun(file: str, service: str, url: str) -> str:
    """What is said at once; `url`: where it is sent to, empty for the database."""
    service = f"{service}, to {url}" if url else service
    if file == "-":
        return f"Following standard input, as {service}."
    if not Path(file).exists():
        return f"Following {file}, as {service}: it is not there yet."
    return f"Following {file} ({Path(file).stat().st_size:,} bytes so far), as {service}."


def tell_followed(report: Report, form: GrowingForm) -> None:
    """At the end: what the log was read as, and what of it gave no outcome."""
    if form.found is not None:
        say(of_form(report, form))
    others = {kind.value: left.count for kind, left in report.left.items() if left.count}
    if report.outside.count:
        others["outside of what is kept"] = report.outside.count
    if others:
        kinds = ", ".join(f"{name}: {count}" for name, count in others.items())
        say(f"{plural(sum(others.values()), 'line')} gave no outcome ({kinds}).")
