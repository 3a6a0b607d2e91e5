"""One version: the package, the API, the CHANGELOG and the docs say the same."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from checks.check import DAY_S, Check, Surroundings, fail, text_of
from server import __version__
from server.http.openapi import document
from server.routes import API
from server.selfcheck.findings import Finding

RELEASE = re.compile(r"^## \[?(\d+\.\d+\.\d+)\]?", re.MULTILINE)
SEMANTIC = re.compile(r"\d+\.\d+\.\d+")
# Where docs name Evenkeel's own version: `evenkeel 1.2.3`, `evenkeel@1.2.3`, "version": "1.2.3".
NAMED = re.compile(r"""\bevenkeel(?:[ @=]+|-)v?(\d+\.\d+\.\d+)|"version": "(\d+\.\d+\.\d+)\"""", re.IGNORECASE)


async def run(around: Surroundings) -> list[Finding]:
    """Every place that names the version."""
    return await asyncio.to_thread(inspect, around.root, __version__)


def inspect(root: Path, version: str) -> list[Finding]:
    """Findings for each place that names another version than the package."""
    if not SEMANTIC.fullmatch(version):
        return [fail(f"The version {version!r} is not MAJOR.MINOR.PATCH.", "Correct it.", "server/__init__.py")]
    return [*in_packaging(root), *in_changelog(root, version), *in_api(version), *in_docs(root, version)]


def in_packaging(root: Path) -> list[Finding]:
    text = text_of(root / "setup.cfg")
    if re.search(r"^version = attr: server\.__version__$", text, re.MULTILINE):
        return []
    return [fail("setup.cfg names a version of its own.", "version = attr: server.__version__", "setup.cfg")]


def in_changelog(root: Path, version: str) -> list[Finding]:
    """The newest release in the CHANGELOG is the package's version."""
    found = RELEASE.search(text_of(root / "CHANGELOG.md"))
    if found and found[1] == version:
        return []
    newest = f"its newest release is {found[1]}" if found else "it has no release"
    return [fail(f"The package is {version}; {newest}.", f"Add `## {version}` at the top.", "CHANGELOG.md")]


def in_api(version: str) -> list[Finding]:
    said = document(API)["info"]["version"]
    if said == version:
        return []
    return [
        fail(
            f"The API says {said}, the package {version}.", "Take it from server.__version__.", "server/http/openapi.py"
        )
    ]


def in_docs(root: Path, version: str) -> list[Finding]:
    findings = []
    for path in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        for number, line in enumerate(text_of(path).splitlines(), 1):
            for match in NAMED.finditer(line):
                said = match[1] or match[2]
                if said != version:
                    where = f"{path.relative_to(root)}:{number}"
                    findings.append(fail(f"It says {said}; the package is {version}.", "Correct it.", where))
    return findings


CHECK = Check(
    "version_consistency",
    "Package, API, CHANGELOG and docs name one version",
    needs="repository",
    run=run,
    every_s=DAY_S,
    limit_s=30,
)
