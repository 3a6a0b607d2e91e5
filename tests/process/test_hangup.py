"""SIGHUP: from a closed terminal it stops, from anybody else it takes in the policy file."""

from __future__ import annotations

import os

from server.process.supervisor import hung_up


def test_a_terminal_that_was_closed_has_hung_up() -> None:
    ours, theirs = os.openpty()
    assert not hung_up([theirs])
    os.close(ours)
    assert hung_up([theirs])
    os.close(theirs)


def test_where_there_was_no_terminal_none_hangs_up() -> None:
    assert not hung_up([])
