"""The documents do what they say: their commands run as printed, and nothing in them is of one machine."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LOCAL = re.compile(r"/work/|/tmp/|/root/|/home/|127\.0\.0\.1|\b10\.\d+\.\d+\.\d+|\.internal:|\bTODO\b|\bFIXME\b")


END = "-- and its answer"


def blocks(text: str) -> list[str]:
    """The shell blocks, as somebody would paste them."""
    return list(re.findall(r"^ *```bash\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_nothing_is_of_one_machine(path: Path) -> None:
    assert LOCAL.findall(path.read_text()) == []


def paste(server: Any, script: str, *, check: bool = True) -> str:
    """Run a block in a shell of its own: the address and the key's command are this test's, the rest is as printed."""
    script = script.replace("http://localhost:8000", server.url).replace(".venv/bin/python", sys.executable)
    script = script.replace("curl ", "curl -sS --fail-with-body --max-time 20 ")
    env = {"PATH": "/usr/bin:/bin"} | server.variables
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 or not check, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_readme_sends_a_first_outcome(running: Callable[..., Any]) -> None:
    server = running()
    text = (ROOT / "README.md").read_text()
    (first,) = [block for block in blocks(text) if "key create first" in block]
    assert '{"accepted":1}' in paste(server, first)


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
    linked = set(re.findall(r"\]\((docs/\w+\.md|\w+\.md)\)", (ROOT / "README.md").read_text()))
    assert linked == {path.relative_to(ROOT).as_posix() for path in DOCS} - {"README.md"}


def test_the_runbook_has_what_somebody_looks_for_at_night() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text()
    for heading in ("Severity", "Triage", "Stabilise", "Diagnose", "Recover", "After the incident", "On call"):
        assert re.search(rf"^## {heading}", text, re.MULTILINE), heading
    order = [text.index(f"### {name}") for name in ("Environment", "Configuration", "Application", "Schema")]
    assert order == sorted(order), "environment first"
    for script in (ROOT / "scripts").glob("*.py"):
        assert f"python scripts/{script.name}" in text
