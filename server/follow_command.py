"""`python -m server import FILE --service NAME --follow`: an access log while it grows."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.kernel.terminal import say, say_over
from server.kernel.text import plural

if TYPE_CHECKING:
    from server.ingest.access_log.follow import Follow
    from server.ingest.access_log.importer import Importer, Report
    from server.ingest.access_log.log_form import GrowingForm
    from server.ingest.access_log.log_pipe import LogPipe
    from server.kernel.settings import Environment
    from server.slo.policy.policies import Policies

POLICY_S = 5.0
LINE_S = {True: 1.0, False: 60.0}  # between two lines of progress: on a terminal, and in a log
RETRY_S = 1.0


class ProgressLine:
    """Says now and then how far it is: on a terminal in one line, elsewhere once a minute where something came."""

    def __init__(self, name: str, report: Report) -> None:
        self.name = name
        self.report = report
        self.followed: Follow | LogPipe | None = None
        self._terminal = sys.stderr.isatty()
        self._said_at = time.monotonic()
        self._said = ""

    def show(self) -> None:
        """Say it, unless it was said a moment ago."""
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
    from server.ingest.access_log.follow import Follow, FollowTerms
    from server.ingest.access_log.importer import Importer
    from server.ingest.access_log.log_pipe import LogPipe
    from server.kernel.bus import Bus
    from server.kernel.db import Database
    from server.slo.policy.policies import Policies

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    db = Database(url, "evenkeel import", outcomes_url=env.outcomes_database_url)
    policies = Policies(env, db, Bus(db, None))
    importer = Importer(
        env, db, policies.thresholds_us, options["service"], aborted=options["aborted"], tell=True, live=True
    )
    line = ProgressLine("standard input" if file == "-" else Path(file).name, importer.report)
    terms = FollowTerms(form, stop, line.tell, line.show)
    line.followed = LogPipe(importer, sys.stdin.fileno(), terms) if file == "-" else Follow(importer, Path(file), terms)
    try:
        if await ready(importer, policies, stop, line):
            with following(policies, importer):
                await line.followed.run()
    finally:
        await importer.close()
        await db.close()
    line.tell(line.text() + ".")
    return importer.report


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


def tell_followed(report: Report, form: GrowingForm) -> None:
    """At the end: what the log was read as, and what of it gave no outcome."""
    if form.found is not None:
        say(f"Read as {form.found.form.name}. Latency: {form.found.took or 'none, ' + form.found.hint}.")
    others = {kind.value: left.count for kind, left in report.left.items() if left.count}
    if report.outside.count:
        others["outside of what is kept"] = report.outside.count
    if others:
        kinds = ", ".join(f"{name}: {count}" for name, count in others.items())
        say(f"{plural(sum(others.values()), 'line')} gave no outcome ({kinds}).")
