"""`python -m server outcome find|send`: outcomes looked up and sent over HTTP.

Needs the standard library and click alone, as the gate's command does.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, BinaryIO
from urllib.parse import urlencode

import click

from server.kernel.remote import NotAsked, call
from server.kernel.remote_command import CANNOT_BE_ASKED, NOTHING, Remote, asks, decoded
from server.kernel.terminal import say, say_table
from server.kernel.text import ms, plural

BASE = "/api/v1/outcomes"
HEAD = ("AT", "SERVICE", "VERSION", "WHAT", "STATUS", "TOOK", "ERROR", "TRACE")
BATCH = 500  # outcomes in one request
BATCH_BYTES = 512 * 1024


@click.group()
def outcome() -> None:
    """Outcomes: find a request, send some.

    Asks EVENKEEL_URL with EVENKEEL_API_KEY, a key of the scopes read and ingest.
    """


@outcome.command()
@click.argument("request_id")
@asks
def find(site: Remote, request_id: str) -> None:
    """What became of a request, in every service.

    By its request id or trace id: outcomes and log lines in order of time. Exits with 1 where there is nothing.
    """
    found = site.get(f"{BASE}?{urlencode({'request_id': request_id})}")
    rows = [*map(row, found["outcomes"]), *map(line_row, found.get("lines", ()))]
    site.show(found, lambda: say_table(HEAD, sorted(rows, key=lambda one: datetime.fromisoformat(one[0]))))
    if not rows:
        say(f"Nothing has the request id or trace id {request_id}.", err=True)
        sys.exit(NOTHING)


def row(one: dict[str, Any]) -> tuple[str, ...]:
    """One outcome."""
    return (
        one["timestamp"],
        one["service"],
        one["version"],
        f"{one['method']} {one['route']}",
        f"{one['status']}{' failed' if one['bad'] else ''}",
        ms(one["duration_ms"]),
        one.get("error_class") or "",
        one.get("trace_id") or "",
    )


def line_row(one: dict[str, Any]) -> tuple[str, ...]:
    """One log line."""
    return (one["timestamp"], one["service"], "", one["message"], one["level"], "", "", one["trace_id"])


@outcome.command()
@click.argument("file", type=click.File("rb"), default="-")
@asks
def send(site: Remote, file: BinaryIO) -> None:
    """Send outcomes from FILE, or from standard input.

    It is a JSON array, or one object a line. What is wrong is named with the number of its outcome, the others are
    stored. Exits with 1 where some were refused, with 2 where not all were sent.
    """
    sent = refused = 0
    try:
        with click.progressbar(batches(file), label="Sending", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            for batch in bar:
                told = post(site, batch)
                for fault in told["refused"]:
                    say(f"Outcome {sent + fault['index'] + 1}: {fault['field']} {fault['reason']}.", err=True)
                refused += len(told["refused_indexes"])
                sent += len(batch)
                if site.as_json:
                    say(json.dumps(told))
    except (NotAsked, ValueError) as error:
        say(f"{error} {plural(sent - refused, 'outcome')} were stored before.", err=True)
        sys.exit(CANNOT_BE_ASKED)
    if not site.as_json:
        say(f"{plural(sent - refused, 'outcome')} stored{f', {refused:,} refused' if refused else ''}.")
    sys.exit(NOTHING if refused else 0)


def post(site: Remote, batch: list[bytes]) -> dict[str, Any]:
    """Send one batch; a second try is the same batch. NotAsked says why where it was refused."""
    headers = {"Content-Type": "application/x-ndjson"}
    path, body = f"{BASE}?partial=true", b"\n".join(batch)
    answered = call(path, "ingest", url=site.url, data=body, key=uuid.uuid4().hex, headers=headers)
    told: dict[str, Any] = decoded(answered)
    return {"refused": [], "refused_indexes": []} | told


def batches(file: BinaryIO) -> Iterator[list[bytes]]:
    """The outcomes of a file in parts that go into one request; ValueError for what is no JSON array."""
    batch: list[bytes] = []
    size = 0
    for one in items(file):
        if batch and (len(batch) == BATCH or size + len(one) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += len(one)
    if batch:
        yield batch


def items(file: BinaryIO) -> Iterable[bytes]:
    """One outcome each: the items of an array, else the lines that are not empty."""
    lines = (line.strip() for line in file)
    first = next((line for line in lines if line), b"")
    if first.startswith(b"["):
        try:
            found = json.loads(b"\n".join([first, *lines]))
        except ValueError as error:
            raise ValueError(f"This is no JSON array: {error}.") from None
        yield from (json.dumps(one).encode() for one in found)
    elif first:
        yield first
        yield from (line for line in lines if line)
