"""The report as one HTML file that needs nothing else: Markdown rendered, cleaned, with a chart of the error ratio."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import nh3
from markdown_it import MarkdownIt

from server.incidents.report import IncidentReport, heading, markdown
from server.kernel.text import percent

FRAME = (Path(__file__).parent / "page.html").read_text()
MARKDOWN = MarkdownIt("commonmark", {"html": False})  # a tag in a text is text
WIDTH, HEIGHT = 680.0, 140.0

# Times in Unix seconds and ratios of 1; None: no traffic.
Value = tuple[float, float | None]


def html(report: IncidentReport, values: Sequence[Value]) -> str:
    """The whole file. `values` are the error ratio around it, oldest first; empty: no chart."""
    rendered = nh3.clean(MARKDOWN.render(markdown(report)), tags=nh3.ALLOWED_TAGS - {"img"})
    head, found, rest = rendered.partition("<h2>")
    over = report.over_at.timestamp() if report.over_at is not None else None
    chart = ratio_chart(values, report.onset.timestamp(), over) if values else ""
    return FRAME.format(title=escape(heading(report)), body=f"{head}{chart}{found}{rest}")


def ratio_chart(values: Sequence[Value], onset: float, over: float | None) -> str:
    """The error ratio as SVG: shaded from the onset until it was over, a gap where there was no traffic."""
    start, end = values[0][0], max(values[-1][0], values[0][0] + 1)
    top = max((value for _, value in values if value is not None), default=0.0) or 1.0

    def x(at: float) -> float:
        return round((at - start) / (end - start) * WIDTH, 1)

    path, drawn = [], False
    for at, value in values:
        if value is not None:
            path.append(f"{'L' if drawn else 'M'}{x(at)} {HEIGHT * (1 - value / top):.1f}")
        drawn = value is not None
    shade, until = (min(max(x(at), 0.0), WIDTH) for at in (onset, end if over is None else over))
    first, last = (datetime.fromtimestamp(at, UTC).strftime("%H:%M") for at in (start, end))
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT + 20:g}" role="img" aria-label="Error ratio, up to {percent(top)}">'
        f'<rect x="{shade}" width="{max(until - shade, 0.0):g}" height="{HEIGHT:g}" fill="#9E1310" fill-opacity=".08"/>'
        f'<path d="M0 {HEIGHT:g}H{WIDTH:g}" stroke="#737983"/>'
        f'<path d="{"".join(path)}" fill="none" stroke="#9E1310" stroke-width="1.5"/>'
        f'<text x="4" y="12" font-size="12">Error ratio, up to {percent(top)}</text>'
        f'<text x="0" y="{HEIGHT + 16:g}" font-size="12">{first} UTC</text>'
        f'<text x="{WIDTH:g}" y="{HEIGHT + 16:g}" font-size="12" text-anchor="end">{last} UTC</text></svg>'
    )
