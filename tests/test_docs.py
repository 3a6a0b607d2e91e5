"""The documents do what they say: their commands run as printed, and nothing in them is of one machine."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
CONNECT = sorted((ROOT / "docs" / "connect").glob("*.md"))
LOCAL = re.compile(r"/work/|/tmp/|/root/|/home/|127\.0\.0\.1|\b10\.\d+\.\d+\.\d+|\.internal:|\bTODO\b|\bFIXME\b")


END = "-- and its answer"
KEY_MADE = re.compile(r"\.venv/bin/python -m server key create [^\n)]*")
CLF = """10.2.3.4 - - [{at:%d/%b/%Y:%H:%M:%S +0000}] "GET /pay HTTP/1.1" 200 12 "-" "curl/8"\n"""


def blocks(text: str) -> list[str]:
    """The shell blocks, as somebody would paste them."""
    return list(re.findall(r"^ *```bash\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("path", [*DOCS, *CONNECT], ids=lambda path: path.name)
def test_nothing_is_of_one_machine(path: Path) -> None:
    assert LOCAL.findall(path.read_text()) == []


def paste(server: Any, script: str, *, check: bool = True, place: Path = ROOT, **given: str) -> str:
    """Run a block in a shell of its own: the address and the key's command are this test's, the rest is as printed."""
    for address in ("http://localhost:8000", "https://evenkeel.example.com"):
        script = script.replace(address, server.url)
    script = script.replace(".venv/bin/python", sys.executable)
    script = script.replace("curl ", "curl -sS --fail-with-body --max-time 20 ")
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)} | server.variables | given
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=place, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 or not check, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_readme_the_command_line_and_the_pages_of_connect_print_what_works(
    running: Callable[..., Any], tmp_path: Path
) -> None:
    """The shell blocks of a page one after the other, beside an access log where it lies."""
    server = running()
    text = (ROOT / "README.md").read_text()
    (first,) = [block for block in blocks(text) if "key create first" in block]
    assert '{"accepted":1}' in paste(server, first)

    log = CLF.format(at=datetime.now(UTC)).encode()
    (tmp_path / "access.log").write_bytes(log)
    (tmp_path / "access.log.1.gz").write_bytes(gzip.compress(log))
    key = server.key("ingest", "read", "act")
    for page in (ROOT / "docs" / "command-line.md", *CONNECT):
        # A key takes a second to make, and was made by the first block.
        printed = KEY_MADE.sub("echo $KEY", "".join(blocks(page.read_text())))
        if printed:
            paste(server, printed, place=tmp_path, URL=server.url, KEY=key)


def test_the_index_of_connect_names_every_page() -> None:
    index = (ROOT / "docs" / "connect" / "README.md").read_text()
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", index))
    assert linked == {path.name for path in CONNECT} - {"README.md"}


def test_every_command_of_the_api_works(running: Callable[..., Any]) -> None:
    """In the order of the page: each builds on those before it."""
    server = running()
    setting_up, *rest = blocks((ROOT / "docs" / "api.md").read_text())
    assert len(rest) >= 8
    script = setting_up + "".join(f"{block}echo; echo {END}\n" for block in rest)
    *answers, after = (answer.strip() for answer in paste(server, script).split(END))
    assert answers[0] == '{"accepted":2}'
    assert (len(answers), after) == (len(rest), "")
    # JSON, or what the page says of it: rules with a comment above, a report in Markdown.
    assert {answer[:1] for answer in answers} == {"{", "#"}


def test_the_readme_names_every_document() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md|\w+\.md)\)", (ROOT / "README.md").read_text()))
    assert linked == {path.relative_to(ROOT).as_posix() for path in DOCS} - {"README.md"}


def test_the_runbook_has_what_somebody_looks_for_at_night() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text()
    for heading in ("Severity", "Triage", "Stabilise", "Diagnose", "Recover", "After the incident", "On call"):
        assert re.search(rf"^## {heading}", text, re.MULTILINE), heading
    order = [text.index(f"### {name}") for name in ("Environment", "Configuration", "Application", "Schema")]
    assert order == sorted(order), "environment first"
    for script in (ROOT / "scripts").glob("*.py"):
        assert f"python scripts/{script.name}" in text
