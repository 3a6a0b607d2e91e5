"""What commands print, on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest

from server.kernel.terminal import say_table

HEAD = ("STATE", "OBJECTIVE", "[x]GONE IN")
ROWS = [("burning", "checkout-availability", "5 h 10 min"), ("ok", "[bold]söarch\x1b[2J\u202e", "")]


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def printed(monkeypatch: pytest.MonkeyPatch, to: io.StringIO, columns: int = 80, **environment: str) -> str:
    for name, value in {"COLUMNS": str(columns), "TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    say_table(HEAD, ROWS, to)
    return to.getvalue()


def test_elsewhere_a_row_is_one_plain_line_whatever_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(monkeypatch, io.StringIO(), columns=20).splitlines()
    assert lines[0].split() == ["STATE", "OBJECTIVE", "[x]GONE", "IN"]
    assert lines[1] == "burning  checkout-availability      5 h 10 min"
    assert lines[2] == "ok       [bold]söarch\\x1b[2J\\u202e  –"
    assert len(lines) == 3


def test_a_long_text_moves_its_own_row_alone() -> None:
    to = io.StringIO()
    say_table(("WHAT", "STATUS"), [("x" * 1000, "200"), ("GET /", "500")], to)
    assert max(map(len, to.getvalue().splitlines()[::2])) < 80
    assert "x" * 1000 + "  200" in to.getvalue()


def test_a_terminal_has_colour_but_not_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[1;31mburning" in printed(monkeypatch, Screen())
    for plain in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = printed(monkeypatch, Screen(), **plain)
        assert "31m" not in shown, plain
        assert "[bold]söarch\\x1b[2J\\u202e" in shown, "what is shown steers no terminal and is no markup"


def test_where_a_terminal_is_too_narrow_each_row_is_lines_of_its_own_and_nothing_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = printed(monkeypatch, Screen(), columns=36, TERM="dumb").splitlines()
    assert max(map(len, lines)) <= 36
    assert [line.split() for line in lines[:3]] == [
        ["STATE", "burning"],
        ["OBJECTIVE", "checkout-availability"],
        ["[x]GONE", "IN", "5", "h", "10", "min"],
    ]
    narrow = printed(monkeypatch, Screen(), columns=24, TERM="dumb")
    assert "checkout-availability" in "".join(narrow.split())
