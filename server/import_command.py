"""`python -m server import FILE --service NAME`: an access log, on DATABASE_URL or the embedded database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

import click

from server.auth.commands import click_errors
from server.kernel import shared_clock
from server.kernel.names import OWN
from server.kernel.terminal import say
from server.kernel.text import ms, plural

if TYPE_CHECKING:
    from server.ingest.access_log.importer import Importer
    from server.ingest.access_log.log_file import LogFile
    from server.ingest.access_log.log_sender import LogSender, Receiver
    from server.ingest.access_log.log_survey import Survey
    from server.ingest.access_log.log_taking import Aborted, LeftOut, Report
    from server.kernel.settings import Environment
    from server.receivers.access_log.latency import LogAsk

T = TypeVar("T")
SHOWN = 200  # characters of a line
ABORTED = ("bad", "good", "apart")
SHOWN_REASONS = 5
PATIENCE_S = 120.0  # for an Evenkeel elsewhere
STAMPS = {"start": True, "end": False}


class Zone(click.ParamType[tzinfo]):
    """A time zone by its IANA name."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tzinfo:
        if isinstance(value, tzinfo):
            return value
        try:
            return ZoneInfo(value)
        except (ValueError, OSError, KeyError):
            return self.fail(f"{value} is no time zone that this machine knows, as Europe/Berlin", param, ctx)


@click.command("import")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--service", required=True, help="The service that wrote the log.")
@click.option("--shift", is_flag=True, help="Move all times so that the log ends now.")
@click.option(
    "--format",
    "format_",
    metavar="STRING",
    help="The server's own format string, as '%h … %D', or its name.",
)
@click.option(
    "--time", "time_", metavar="NAME|N", help="The field that is the time taken: its name, or N-th bare number."
)
@click.option("--unit", type=click.Choice(["s", "ms", "us"]), help="The unit of the time taken.")
@click.option(
    "--stamp", type=click.Choice(list(STAMPS)), help="What the time of a line is: when its request came, or ended."
)
@click.option("--zone", type=Zone(), default=UTC, help="The zone of times that name none. Default: UTC.")
@click.option(
    "--aborted",
    type=click.Choice(ABORTED),
    default="bad",
    show_default=True,
    help="What requests without a whole answer are.",
)
@click.option("--tell", "telling", is_flag=True, help="Alert on these outcomes, as if the service had sent them.")
@click.option("--follow", is_flag=True, help="Go on with what is written to it, across rotations, and alert on it.")
@click.option("--url", default="", metavar="URL", help="Send it to the Evenkeel there, with EVENKEEL_API_KEY.")
def import_log(file: str, **options: Any) -> None:
    """Store an access log as outcomes. FILE may be gzip, a pipe, or - for standard input.

    What the log says is taken, and no more: a latency only where a name, a unit, the server's
    format or you say which field it is. docs/connect/access-logs.md has a table of servers.
    A line counts once for a service: what of a log was stored before, under any name, is passed over.
    Lines older than OUTCOME_RETENTION_DAYS are left out; --shift moves the whole log to the present.
    """
    from server.kernel.settings import read_environment

    if not 1 <= len(options["service"]) <= 200 or "\0" in options["service"]:
        raise click.BadParameter("give 1 to 200 characters", param_hint="--service")
    if options["service"] == OWN:
        raise click.BadParameter(f"{OWN} is Evenkeel itself, which counts its own requests", param_hint="--service")
    env = read_environment()
    if options["follow"]:
        follow_log(env, file, options)
    else:
        import_whole(env, file, options)


def import_whole(env: Environment, file: str, options: dict[str, Any]) -> None:
    """Store what is there."""
    from server.ingest.access_log.log_file import LogFile, UnreadableLog
    from server.process.command_database import database_for_command

    try:
        log = LogFile(file)
    except (UnreadableLog, OSError) as error:
        raise click.ClickException(str(error)) from None
    survey = surveyed(log, options)
    if not survey.telling:
        raise click.ClickException(no_access_log(survey, log))
    if to := receiver(options):
        with click_errors():
            sender = asyncio.run(send(env, to, log, survey, options))
        tell_refused(sender)
        tell(sender.report, survey, log, options)
        return
    with click_errors(), database_for_command(env) as url:
        report = asyncio.run(run(env, url, log, survey, options))
    tell(report, survey, log, options)


def receiver(options: dict[str, Any]) -> Receiver | None:
    """Where it is sent to; None: into the database at hand. Says what is wrong with the address or the key."""
    if not options["url"]:
        return None
    from server.ingest.access_log.log_sender import Receiver
    from server.kernel.remote import where
    from server.kernel.remote_command import answered

    return Receiver(*answered(lambda: where("ingest", options["url"])))


def follow_log(env: Environment, file: str, options: dict[str, Any]) -> None:
    """Store what is there and what comes, until it is stopped."""
    from server.follow_command import begun, follow, follow_to, tell_followed
    from server.ingest.access_log.log_form import GrowingForm
    from server.process.command_database import database_for_command
    from server.receivers.access_log.detect import format_fault

    if options["shift"]:
        raise click.BadParameter("what is followed has the times of now", param_hint="--shift")
    if file.endswith(".gz"):
        raise click.BadParameter("a packed log does not grow: import it without --follow", param_hint="FILE")
    if options["format_"] and (fault := format_fault(options["format_"], options["unit"])):
        raise click.BadParameter(fault, param_hint="--format")
    form = GrowingForm(asked_for(options), options["zone"])
    to = receiver(options)
    say(begun(file, options["service"], to.url if to else ""), err=True)
    if to is not None:
        with click_errors():
            sender = asyncio.run(follow_to(env, to, file, form, options))
        tell_refused(sender)
        tell_followed(sender.report, form)
        return
    with click_errors(), database_for_command(env) as url:
        report = asyncio.run(follow(env, url, file, form, options))
    tell_followed(report, form)


def asked_for(options: dict[str, Any]) -> LogAsk:
    """What the options say of the form of the log."""
    from server.receivers.access_log.latency import LogAsk

    stamp = options["stamp"]
    return LogAsk(options["format_"], options["time_"], options["unit"], STAMPS[stamp] if stamp else None)


def surveyed(log: LogFile, options: dict[str, Any]) -> Survey:
    """Read the log once, as it is asked for."""
    from server.ingest.access_log.log_survey import survey

    asked = asked_for(options)
    try:
        return survey(log.lines(), asked, options["zone"])
    except ValueError as error:
        hint = "--format" if asked.format else "--time"
        raise click.BadParameter(str(error), param_hint=hint) from None


def no_access_log(survey: Survey, log: LogFile) -> str:
    """What is said of a file of which no line is a request."""
    if survey.refused is None:
        return f"{log.name} has no line that tells of a request. No outcome was stored."
    number, line, left = survey.refused
    return (
        f"{log.name} is no access log that is known here: none of its {plural(survey.lines, 'line')} is a request with"
        f" its time and status. No outcome was stored. Line {number:,}: {left.why}: {line.strip()[:SHOWN]}\n"
        "Where it is one, --format with the server's own format string says how it is read."
    )


async def run(env: Environment, url: str, log: LogFile, survey: Survey, options: dict[str, Any]) -> Report:
    """Import with the thresholds of the objectives in force."""
    from server.ingest.access_log.importer import Importer
    from server.kernel.bus import Bus
    from server.kernel.db import Database
    from server.slo.policy.policies import Policies

    db = Database(url, "evenkeel import", outcomes_url=env.outcomes_database_url)
    policies = Policies(env, db, Bus(db, None))
    service, aborted, telling = options["service"], options["aborted"], options["telling"]
    importer = Importer(env, db, policies.thresholds_us, service, aborted=aborted, tell=telling)
    try:
        async with db.act() as connection:
            await policies.follow(connection)
            await importer.take_patterns(connection)
        await importer.make_partitions()
        await read_in(importer, log, survey, options)
        return importer.report
    finally:
        await importer.close()
        await db.close()


async def send(env: Environment, to: Receiver, log: LogFile, survey: Survey, options: dict[str, Any]) -> LogSender:
    """Send it to an Evenkeel elsewhere."""
    from server.ingest.access_log.log_sender import LogSender

    sender = LogSender(env, to, options["service"], aborted=options["aborted"])
    try:
        await read_in(sender, log, survey, options, PATIENCE_S)
        return sender
    finally:
        await sender.close()


async def read_in(
    store: Importer | LogSender, log: LogFile, survey: Survey, options: dict[str, Any], patience_s: float = 0.0
) -> None:
    """Store a log from where it was stored up to. ApiError, after so much patience."""
    from server.ingest.access_log.log_intake import LogIntake

    store.take_traffic(survey.traffic)
    now = int(shared_clock.now() * 1_000_000)
    last = survey.newest(now) if options["shift"] else None
    intake = LogIntake(store, log, lambda _: survey.detected.form, shift=now - last if last is not None else 0)
    if await patiently(intake.find, patience_s):
        intake.begin()
        store.report.known = intake.place.lines
        with click.progressbar(length=log.size, label=f"Importing {log.name}") as bar:
            while await patiently(lambda: intake.next(last=True), patience_s):
                bar.update(log.done() - bar.pos)


async def patiently(do: Callable[[], Awaitable[T]], patience_s: float) -> T:
    """Do it, again where that is said to help, for so long. ApiError."""
    from server.kernel.errors import ApiError

    began = time.monotonic()
    while True:
        try:
            return await do()
        except ApiError as error:
            if error.code != "UNAVAILABLE" or time.monotonic() - began >= patience_s:
                raise
            await asyncio.sleep(error.retry_after or 1)


def tell_refused(sender: LogSender) -> None:
    """What was not taken there."""
    for why, count in sender.refused.most_common(SHOWN_REASONS):
        say(f"{plural(count, 'outcome')} were refused by {sender.to.url}: {why}.")


def tell(report: Report, survey: Survey, log: LogFile, options: dict[str, Any]) -> None:
    """What became of the lines; ends with status 1 where none was stored."""
    from server.ingest.outcome import iso

    if report.oldest is not None and report.newest is not None:
        say(f"{plural(report.stored, 'outcome')} stored, from {iso(report.oldest)} to {iso(report.newest)}.")
    if report.known:
        say(f"{plural(report.known, 'line')} of it stored before: each counts once.")
    for sentence in (*of_latency(report, survey), *of_requests(report, options["aborted"]), *of_times(survey)):
        say(sentence)
    tell_left_out(report, log, shifted=options["shift"])
    if log.broken:
        say(log.broken)
    if not report.stored and report.known:
        say("Nothing of it is new, and options change nothing that is stored. Another --service takes it anew.")
    elif not report.stored:
        raise click.ClickException("No outcome was stored.")


def of_latency(report: Report, survey: Survey) -> list[str]:
    """Which field is the latency, with the median and one line as proof; or that none is, and what to do."""
    found = survey.detected
    told = [f"Read as {found.form.name}."]
    if survey.proof is None:
        told.append(f"No latency: {found.hint or 'the field has none'}.")
    else:
        line, entry = survey.proof
        median = survey.p50_us()
        told.append(f"Latency: {found.took}; p50 {ms(median / 1000 if median is not None else None)}.")
        told.append(f"  {ms((entry.duration_us or 0) / 1000)} by this line: {line[:SHOWN]}")
    if report.untimed:
        told.append(f"{report.untimed} of them have no request time: their latency is not known and counts nowhere.")
    return told


def of_requests(report: Report, aborted: Aborted) -> list[str]:
    """What was no plain answer, and where routes were put together."""
    told = []
    if report.unanswered:
        kinds = ", ".join(f"{kind}: {n}" for kind, n in report.unanswered.most_common())
        stored = {"bad": "stored as failed", "good": "stored as not failed", "apart": "not stored"}[aborted]
        others = "|".join(one for one in ABORTED if one != aborted)
        told.append(
            f"{plural(report.unanswered.total(), 'request')} without a whole answer ({kinds}): {stored};"
            f" --aborted {others} says otherwise."
        )
    if report.other_routes:
        told.append(f"{report.other_routes} outcomes are of routes over ROUTES_MAX, counted under (other).")
    return told


def of_times(survey: Survey) -> list[str]:
    """What was supposed of the times."""
    told = []
    if survey.unzoned:
        zone = survey.detected.form.sense.zone
        told.append(f"{survey.unzoned} times name no zone: read as {zone}; --zone says another.")
    if survey.detected.form.sense.starts and survey.proof is not None:
        told.append(
            "The time of a line is taken as when its request came, and outcomes stand at its end;"
            " --stamp end says otherwise."
        )
    return told


def tell_left_out(report: Report, log: LogFile, *, shifted: bool) -> None:
    """The lines that gave no outcome: how many, and the first with the reason."""
    from server.receivers.access_log.entry import LeftKind

    hint = "" if shifted else "; --shift moves the whole log to the present"
    tell_lines(
        report.outside,
        "line left out: its time is not taken" + hint,
        "lines left out: their time is not taken" + hint,
        log,
    )
    tell_lines(
        report.left[LeftKind.NO_REQUEST],
        "line is no request, and counts nowhere",
        "lines are no requests, and count nowhere",
        log,
    )
    tell_lines(report.left[LeftKind.OTHER], "line tells of something else", "lines tell of something else", log)
    tell_lines(report.left[LeftKind.REFUSED], "line is not understood", "lines are not understood", log)


def tell_lines(left: LeftOut, one: str, many: str, log: LogFile) -> None:
    if left.count:
        say(f"{plural(left.count, one, many)}:")
    for number, line, why in left.first:
        say(f"  {log.name}:{number}: {why}: {line.strip()[:SHOWN]}")
