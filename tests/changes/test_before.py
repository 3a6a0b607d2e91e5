"""What changed just before something failed."""

from __future__ import annotations

from typing import Any

from server.changes.before import just_before
from server.changes.store import Change
from server.kernel.times import utc

START = 1_790_000_040.0


def change(number: int, before_s: float, of: str = "deploy", author: str = "ci", **detail: Any) -> Change:
    return Change(number, utc(START - before_s), of, "shop", f"v{number}", "", author, detail)


def found(*changes: Change) -> int | None:
    one = just_before(changes, START)
    return one.id if one else None


def test_the_last_change_before_is_told() -> None:
    assert found(change(1, 900), change(2, 60), change(3, 1801), change(4, -61)) == 2
    assert found(change(1, 900), change(2, -50)) == 2, "recorded with its first outcome, which failed"
    assert found(change(1, 1801), change(2, -61)) is None


def test_what_a_machine_brought_back_because_of_it_is_no_cause() -> None:
    guard = change(2, -40, "revision", "evenkeel", kind="rollback")
    assert found(change(1, 900), guard) == 1
    assert found(guard) is None
    assert found(change(3, 30, "revision", "evenkeel", kind="rollback"), change(1, 90)) == 1, "of the failures before"
    assert found(change(4, 20, "revision", "mira@example.com", kind="rollback")) == 4
    assert found(change(5, 20, "revision", "evenkeel", kind="expiry")) == 5
