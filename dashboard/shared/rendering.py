"""The template environment: Jinja2 with autoescape, and the filters of dashboard/shared/format.py.

A page and its live regions are made from the same partial templates, so there is
one way to say each thing.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from dashboard.changes.differences import differences
from dashboard.shared import format as words
from dashboard.shared.looks import LOOKS
from dashboard.shared.telling import alert_look
from server.alerts.words import windows
from server.config.registry import SETTINGS, Value
from server.incidents.moves import WORDS as INCIDENT_WORDS
from server.kernel import shared_clock
from server.kernel.names import marked
from server.kernel.times import utc
from server.receivers.syslog import displayed
from server.slo.model.budget import HANDFUL

FILTERS = (
    *("number", "count", "percent", "target", "ms", "span", "rate", "size", "budget", "plural", "share"),
    *("window", "month", "iso"),
)


WEEK_S = 6 * 86_400  # within it the name of a weekday is a date


def environment() -> Environment:
    """A new environment over dashboard/templates."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update({name: getattr(words, name) for name in FILTERS})
    made.filters["urlencode"] = segment
    made.filters["displayed"] = displayed
    made.filters["ends"] = ends
    made.filters["time"] = time_element
    made.filters["input_time"] = input_time
    made.filters["setting"] = setting_value
    made.filters["arrow"] = arrow
    made.filters["zoned"] = zoned
    made.filters["windows"] = windows
    made.filters["differences"] = differences
    made.filters["marked"] = marked_text
    made.globals["LOOKS"] = LOOKS
    made.globals["HANDFUL"] = HANDFUL
    made.globals["alert_look"] = alert_look
    made.globals["INCIDENT_WORDS"] = INCIDENT_WORDS
    return made


def ends(text: str) -> tuple[str, int, str]:
    """The first line of a text, how many stand between, and the last, '' where there is one alone.

    Of a traceback one of them says what happened: in Python the last, in Java and Node the first.
    """
    lines = [line for line in text.splitlines() if line.strip()] or [""]
    return lines[0], max(0, len(lines) - 2), lines[-1] if len(lines) > 1 else ""


def time_element(value: Any, form: str = "clock") -> Markup:
    """A <time>: UTC as rendered, in the viewer's zone once JavaScript runs.

    `value` is Unix seconds or a datetime. `form`: `clock` (14:32:08), `minute`
    (14:32), of another day both with their date; `day` (23 Nov 14:32, with its year where that is another one),
    `week` (Thu 14:32, within six days), `ago` (3 min 12 s ago) or `for` (3 min 12 s), both kept current.
    """
    if value is None:
        return Markup("–")
    when, now = words.moment(value), utc(shared_clock.now())
    clock = "%H:%M:%S UTC" if form == "clock" else "%H:%M UTC"
    day = f"%-d %b {clock}" if when.year == now.year else f"%-d %b %Y {clock}"
    today = when.date() == now.date()
    near = abs((when - now).total_seconds()) < WEEK_S
    text = clock if today and form in ("clock", "minute") else f"%a {clock}" if near and form == "week" else day
    return Markup('<time datetime="{}" data-form="{}">{}</time>').format(
        when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), form, when.strftime(text)
    )


DATED_CLOCK = re.compile(r"(\buntil )?(?:(\d{4}-\d\d-\d\d) )?\b(\d\d:\d\d:\d\d) UTC\b")
AHEAD_S = 60  # a text may name a time a little after it was written


def zoned(text: str, at: Any) -> Markup:
    """A text written at a time (Unix seconds or a datetime), in which each `03:04:40 UTC` is in the viewer's zone: of
    the date before it, else the next such time after `until`, else the last one before the text was written."""
    written = words.moment(at)
    parts, end = [], 0
    for found in DATED_CLOCK.finditer(text):
        until, day, clock = found.groups()
        try:
            when = datetime.strptime(f"{day or written.date()} {clock} +0000", "%Y-%m-%d %H:%M:%S %z")
        except ValueError:  # 99:00:00
            continue
        if not day and until and when < written:
            when += timedelta(days=1)
        elif not day and not until and (when - written).total_seconds() > AHEAD_S:
            when -= timedelta(days=1)
        parts += [escape(text[end : found.start()] + (until or "")), time_element(when)]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def input_time(value: float) -> str:
    """Unix seconds for an <input type="datetime-local">, in UTC."""
    return words.moment(value).strftime("%Y-%m-%dT%H:%M:%S")


AGO = re.compile(r'(<time datetime="([^"]+)" data-form="(ago|for)">)[^<]*')


def with_ago(html: str, now: float) -> str:
    """How long ago, as of `now`, for a page that no JavaScript keeps current. Regions leave it out: they would
    differ each second."""

    def in_words(found: re.Match[str]) -> str:
        length = words.span(int(now - datetime.fromisoformat(found[2]).timestamp()))
        return f"{found[1]}{length}{' ago' if found[3] == 'ago' else ''}"

    return AGO.sub(in_words, html)


def segment(text: str) -> str:
    """A name as one segment of an address: a slash in it is part of the name."""
    return quote(text, safe="")


def arrow(text: str) -> str:
    """A difference for people: the API writes its arrow in ASCII."""
    return text.replace("->", "→")


def marked_text(text: str, service: str = "") -> str:
    """A text about a service, or its name, with DRILL before that of a drill."""
    return marked(service or text, text)


def setting_value(value: Value, name: str) -> str:
    """A setting's value for people: `on`, `no limit`, `1000`."""
    return SETTINGS[name].shown(value)


ENVIRONMENT = environment()


def compile_templates() -> None:
    """Compile every template, about half a second in all, so that nobody's page waits for its own. For a thread."""
    for name in ENVIRONMENT.list_templates():
        ENVIRONMENT.get_template(name)


def render(template: str, **context: Any) -> str:
    """One template as HTML; what is not given is an error, never an empty place."""
    return ENVIRONMENT.get_template(template).render(**context)
