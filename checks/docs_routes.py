"""Documented routes, settings, metrics and codes are the real ones, both ways; commands and links lead somewhere."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Iterator
from pathlib import Path

import click

from checks import markdown
from checks.check import DAY_S, Check, Surroundings, Unavailable, fail
from checks.markdown import MarkdownDocument, anchor, plain
from checks.registry import NAMES
from server.__main__ import main as command_line
from server.config.registry import SETTINGS
from server.http.openapi import operations
from server.kernel.errors import CODES
from server.kernel.settings import VARIABLES
from server.routes import API
from server.selfcheck.degrade import MODES
from server.selfcheck.findings import Finding
from server.telemetry.metrics import METRICS

# Read by the command line and the scripts only, so not in the server's own table.
TOOL_VARIABLES = {
    "EVENKEEL_URL": "",
    "EVENKEEL_API_KEY": "",
    "NO_COLOR": "",
    "BENCH_FAIL_THRESHOLD_MS": "",
    "BENCH_FAIL_P95_THRESHOLD_MS": "",
}

ROUTE = re.compile(r"^`?(GET|POST|PUT|PATCH|DELETE) (/\S*?)`?$")
MENTIONED = re.compile(r"(?<!\w)(?:/api/v1|/api|/health|/metrics)(?:/[\w{}.-]+)*")
VARIABLE = re.compile(r"^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$")
METRIC = re.compile(r"\bevenkeel_[a-z_]+[a-z]\b")
NOT_METRICS = {"evenkeel_session", "evenkeel_visit", "evenkeel_first_step", "evenkeel_said"}
SUFFIXES = ("_bucket", "_sum", "_count")
COMMAND = re.compile(r"\bpython (-m (?:server|checks|benchmarks|alembic)|scripts/\w+\.py)((?: [\w-]+)*)|\bmake (\w+)\b")


async def run(around: Surroundings) -> list[Finding]:
    """Every document against the code."""
    return await asyncio.to_thread(inspect, around.root)


def inspect(root: Path) -> list[Finding]:
    """What the documents say that is not so, and what they leave out."""
    docs = {document.name: document for document in documents(root)}
    for needed in ("docs/api.md", "docs/settings.md", "docs/metrics.md", "docs/degrade.md"):
        if needed not in docs:
            raise Unavailable(f"{needed} is missing.", "Restore it, or run this check in the source tree.")
    findings = [*routes(docs["docs/api.md"]), *codes(docs["docs/api.md"])]
    findings += [*settings(docs["docs/settings.md"]), *metrics(docs["docs/metrics.md"])]
    findings += modes(docs["docs/degrade.md"])
    for document in docs.values():
        findings += [*mentions(document, set(real_settings())), *links(document, docs, root), *commands(document, root)]
    for path in (*(root / "docs/prometheus").glob("*.yml"), *(root / "docs/grafana").glob("*.json")):
        findings += unknown_metrics(path, root)
    return findings


def unknown_metrics(path: Path, root: Path) -> Iterator[Finding]:
    """Metrics that rules or a dashboard ask for, and that there are not."""
    for line, text in enumerate(path.read_text().splitlines(), 1):
        for name in METRIC.findall(text):
            if not is_metric(name):
                yield fail(f"There is no metric {name}.", "Correct it.", f"{path.relative_to(root)}:{line}")


def documents(root: Path) -> list[MarkdownDocument]:
    places = [*root.glob("*.md"), *(root / "docs").glob("*.md")]
    return [markdown.read(path, root) for path in sorted(places)]


def both_ways(what: str, said: dict[str, str], real: set[str], where: str) -> Iterator[Finding]:
    """`said` maps a documented name to its place."""
    for name in sorted(set(said) - real):
        hint = f"Nothing in the code has this name{closest(name, real)}: correct the line or remove it."
        yield fail(f"{what} {name} is documented and does not exist.", hint, said[name])
    for name in sorted(real - set(said)):
        hint = f"The code has it: describe it in {where}, as its neighbours are."
        yield fail(f"{what} {name} is not documented.", hint, where)


def closest(name: str, real: set[str]) -> str:
    """`, the closest is NAME`, where there is one."""
    found = difflib.get_close_matches(name, sorted(real), 1)
    return f"; the closest is {found[0]}" if found else ""


def routes(api: MarkdownDocument) -> Iterator[Finding]:
    said = {}
    for line, heading in api.headings():
        match = ROUTE.match(heading)
        if match:
            said[f"{match[1]} {match[2].partition('?')[0]}"] = api.place(line)
    real = {f"{method.upper()} {route.path}" for route, method, _ in operations(API)}
    yield from both_ways("Route", said, real, api.name)


def codes(api: MarkdownDocument) -> Iterator[Finding]:
    rows = [(line, plain(cells[0]), cells) for line, cells in api.rows()]
    said = {name: (line, cells) for line, name, cells in rows if name in CODES or re.fullmatch(r"[A-Z_]{4,}", name)}
    yield from both_ways("Code", {name: api.place(line) for name, (line, _) in said.items()}, set(CODES), api.name)
    for name, (line, cells) in said.items():
        if name in CODES and plain(cells[1]) != str(CODES[name][0]):
            yield fail(f"{name} is {CODES[name][0]}, not {plain(cells[1])}.", "Correct it.", api.place(line))


def real_settings() -> dict[str, str]:
    """Every setting and its default as the docs write it."""
    found = {variable.name: variable.default for variable in VARIABLES}
    found |= {name: shown(setting.default) for name, setting in SETTINGS.items()}
    return found | TOOL_VARIABLES


def shown(value: int | bool) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def settings(document: MarkdownDocument) -> Iterator[Finding]:
    real = real_settings()
    said = {plain(cells[0]): (document.place(line), plain(cells[1])) for line, cells in document.rows()}
    places = {name: place for name, (place, _) in said.items()}
    yield from both_ways("Setting", places, set(real), document.name)
    for name, (place, default) in said.items():
        if name in real and default != real[name]:
            yield fail(
                f"{name} defaults to {real[name] or 'nothing'}, not {default or 'nothing'}.", "Correct it.", place
            )


def metrics(document: MarkdownDocument) -> Iterator[Finding]:
    real = {metric.name: metric for metric in METRICS}
    said = {
        plain(cells[0]): (document.place(line), [plain(cell) for cell in cells[1:3]]) for line, cells in document.rows()
    }
    yield from both_ways("Metric", {name: place for name, (place, _) in said.items()}, set(real), document.name)
    for name, (place, cells) in said.items():
        if name in real and cells != [real[name].kind, ", ".join(real[name].labels)]:
            expected = f"{real[name].kind} | {', '.join(real[name].labels)}"
            yield fail(f"{name} is {expected}, not {' | '.join(cells)}.", "Correct it.", place)


def modes(document: MarkdownDocument) -> Iterator[Finding]:
    """The degrade modes: where health says them, in which words pages do, and the lines that say what to do."""
    rows = ((document.place(line), cells) for line, cells in document.rows())
    said = {plain(cells[0]): (place, cells) for place, cells in rows if re.fullmatch(r"`\w+`", cells[0])}
    yield from both_ways(
        "Degrade mode", {name: place for name, (place, _) in said.items()}, {mode.name for mode in MODES}, document.name
    )
    for mode in MODES:
        place, cells = said.get(mode.name, ("", []))
        expected = [f"`{mode.part}`", re.sub(r"{\w+}", "…", mode.says), f"[{mode.heading}](#{anchor(mode.heading)})"]
        if place and cells[1:] != expected:
            yield fail(f"{mode.name} is {' | '.join(expected)}, not {' | '.join(cells[1:])}.", "Correct it.", place)


def mentions(document: MarkdownDocument, settings: set[str]) -> Iterator[Finding]:
    """Routes, settings and metrics that the code pieces of any document name."""
    patterns = [re.compile(re.sub(r"\\{\w+\\}", r"[^/]+", re.escape(route.path))) for route in API]
    names = settings | set(CODES)
    for line, text in document.spans():
        for path in MENTIONED.findall(text):
            if path not in ("/api", "/api/v1") and not any(pattern.fullmatch(path) for pattern in patterns):
                yield fail(f"There is no route {path}.", "Correct it.", document.place(line))
        if VARIABLE.match(text) and text not in names:
            yield fail(f"There is no setting or code {text}.", "Correct it.", document.place(line))
        for name in METRIC.findall(text):
            if name not in NOT_METRICS and not is_metric(name):
                yield fail(f"There is no metric {name}.", "Correct it.", document.place(line))


def is_metric(name: str) -> bool:
    known = {metric.name for metric in METRICS}
    histograms = {metric.name for metric in METRICS if metric.kind == "histogram"}
    return name in known or any(name.removesuffix(suffix) in histograms for suffix in SUFFIXES)


def links(document: MarkdownDocument, docs: dict[str, MarkdownDocument], root: Path) -> Iterator[Finding]:
    """Links to files and headings of the tree."""
    for line, target in document.links():
        path, _, fragment = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (root / document.name).parent / path if path else root / document.name
        if not file.exists():
            yield fail(f"The link {target} leads nowhere.", "Correct it.", document.place(line))
            continue
        linked = docs.get(file.resolve().relative_to(root.resolve()).as_posix())
        if fragment and linked is not None and fragment not in linked.anchors():
            yield fail(f"{path or 'This file'} has no heading #{fragment}.", "Correct it.", document.place(line))


def commands(document: MarkdownDocument, root: Path) -> Iterator[Finding]:
    """Commands that the code pieces name: scripts, checks, commands of the command line, targets of make."""
    for line, text in document.spans():
        for module, words, target in COMMAND.findall(text):
            missing = missing_target(target, root) if target else missing_command(module, words.split(), root)
            if missing:
                yield fail(f"`{text.strip()[:80]}`: {missing}.", "Correct it.", document.place(line))


def missing_target(target: str, root: Path) -> str:
    makefile = (root / "Makefile").read_text()
    return "" if re.search(rf"^{target}:", makefile, re.MULTILINE) else f"the Makefile has no {target}"


def missing_command(module: str, words: list[str], root: Path) -> str:
    """What is wrong with `python MODULE WORDS`, or nothing."""
    if module.startswith("scripts/"):
        return "" if (root / module).exists() else f"there is no {module}"
    first, second = ([word for word in words if not word.startswith("-")] + ["", ""])[:2]
    if module == "-m checks" and first and first not in NAMES:
        return f"there is no check {first}"
    return missing_of_ours(first, second) if module == "-m server" and first else ""


def missing_of_ours(first: str, second: str) -> str:
    """What is wrong with a command of ours and the word after it, or nothing."""
    context = click.Context(command_line)
    command = command_line.get_command(context, first)
    if command is None:
        return f"there is no command {first}"
    if isinstance(command, click.Group) and second and command.get_command(context, second) is None:
        return f"there is no command {first} {second}"
    return ""


CHECK = Check(
    "docs_routes",
    "Documented routes, settings, metrics and codes are the real ones",
    needs="repository",
    run=run,
    every_s=DAY_S,
    limit_s=30,
)
