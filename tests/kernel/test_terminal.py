"""What commands print: nothing that a stranger wrote steers a terminal."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.kernel.text import visible
from tests.test_architecture import FILES, ROOT, tree_of

TERMINAL = ROOT / "server/kernel/terminal.py"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /cart 12 µs – “ok”", "GET /cart 12 µs – “ok”"),
        ("two\nlines", "two\nlines"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\rb\x07\x9b\x7f", "a\\rb\\x07\\x9b\\x7f"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\ud800", "\\ud800"),
        ("1\u00a0ms", "1\u00a0ms"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_nothing_steers_whatever_the_text(text: str) -> None:
    assert all(one.isprintable() or one == "\n" or one.isspace() for one in visible(text))
    assert "\x1b" not in visible(text)


def test_every_command_prints_so() -> None:
    calls = [
        path
        for path in FILES
        if path != TERMINAL and path.parts[len(ROOT.parts)] in ("server", "checks")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("click.echo", "click.secho")
    ]
    assert not calls
