"""What any document names in passing: routes, settings, metrics, commands and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from checks.check import fail
from checks.markdown import Document
from checks.registry import NAMES
from server.__main__ import main
from server.kernel.errors import CODES
from server.routes import API
from server.selfcheck.findings import Finding
from server.telemetry.metrics import METRICS

MENTIONED = re.compile(r"(?<!\w)(?:/api/v1|/api|/health|/metrics)(?:/[\w{}.-]+)*")
VARIABLE = re.compile(r"^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$")
METRIC = re.compile(r"\bevenkeel_[a-z_]+[a-z]\b")
NOT_METRICS = {"evenkeel_session", "evenkeel_xsrf", "evenkeel_said"}
SUFFIXES = ("_bucket", "_sum", "_count")
COMMAND = re.compile(r"\bpython (-m (?:server|checks|benchmarks|alembic)|scripts/\w+\.py)((?: [\w-]+)*)|\bmake (\w+)\b")


def mentions(document: Document, settings: set[str]) -> Iterator[Finding]:
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


def links(document: Document, docs: dict[str, Document], root: Path) -> Iterator[Finding]:
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


def commands(document: Document, root: Path) -> Iterator[Finding]:
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
    first = next((word for word in words if not word.startswith("-")), "")
    if module == "-m checks" and first and first not in NAMES:
        return f"there is no check {first}"
    if module == "-m server" and first and first not in main.commands:
        return f"there is no command {first}"
    return ""
