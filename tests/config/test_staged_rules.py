"""Which processes, when the clock runs, and what ends it: the rules, without a database."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.config.staged import ObjectivesNow, Staged, baked_s, choose, clock_words, ends_at, held_by, kept_up
from server.kernel.errors import ApiError

FINE = ObjectivesNow(0.5, 2)


def staged(**more: Any) -> Staged:
    values: dict[str, Any] = {
        "revision": 15,
        "newest": 15,
        "base": 14,
        "state": "running",
        "state_by": "mira@example.com",
        "state_at": 1000.0,
        "why": "",
        "share": 0.25,
        "bake_s": 600,
        "chosen": {1: 1000.0},
        "known": [],
        "held": "",
    }
    return Staged(**(values | more))


@given(st.integers(2, 200), st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_a_share_is_at_least_one_process_and_never_all(count: int, share: float) -> None:
    chosen = choose(range(count), share)
    assert 1 <= len(chosen) < count
    assert len(chosen) >= min(share * count, count - 1)


@pytest.mark.parametrize("count", [0, 1])
def test_with_fewer_than_two_processes_nothing_can_be_staged(count: int) -> None:
    with pytest.raises(ApiError, match="WEB_CONCURRENCY"):
        choose(range(count), 0.5)


@given(st.sets(st.integers(1, 9), min_size=1, max_size=4), st.sets(st.integers(1, 12)), st.sets(st.integers(1, 12)))
def test_stand_ins_keep_the_number_and_never_fill_it(chosen: set[int], there: set[int], gone: set[int]) -> None:
    fresh = sorted(there - gone)
    found = kept_up(dict.fromkeys(chosen, 1.0), there, fresh, 2.0)
    assert len(found) == len(chosen)
    assert {one for one in found if found[one] == 1.0} <= chosen
    assert {one for one in found if found[one] == 2.0} <= set(fresh) - chosen
    assert chosen & there <= set(found), "one that lives is not replaced"
    if not chosen >= there:
        assert not set(found) >= there, "somewhere the base is in force"
    kept = kept_up(found, there, fresh, 3.0)
    assert kept == found, "a second look changes nothing"


@pytest.mark.parametrize(
    ("state", "stands", "unproven", "held"),
    [
        ("running", FINE, [], ""),
        ("paused", FINE, [], "paused"),
        ("running", ObjectivesNow(), [], "objectives have not been evaluated yet"),
        ("running", ObjectivesNow(9.4, 2), [], "objectives have not been evaluated for 9.4 s"),
        ("running", ObjectivesNow(0.5, 0), [], "there is no objective to judge it by"),
        (
            "running",
            ObjectivesNow(0.5, 3, {}, {"a": "checkout is blind", "b": "checkout is blind", "c": "cart is partial"}),
            [],
            "checkout is blind, cart is partial",
        ),
        ("running", FINE, ["web.2"], "web.2 has not applied it"),
        ("running", FINE, ["web.2", "web.3"], "web.2, web.3 have not applied it"),
    ],
)
def test_the_clock_stands_for_a_reason(state: Any, stands: ObjectivesNow, unproven: list[str], held: str) -> None:
    assert held_by(staged(state=state), stands, unproven) == held


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=40))
def test_the_clock_never_counts_more_than_was_looked_at(looks: list[tuple[float, bool]]) -> None:
    one, now, most = staged(checked_at=None, held="not yet"), 1000.0, 0.0
    for after_s, fine in looks:
        now += after_s
        before = one.baked_s
        most += 0.0 if one.held or not fine else min(after_s, 2.5)
        one.baked_s = baked_s(one, "" if fine else "held", now)
        one.held, one.checked_at = "" if fine else "held", now
        assert one.baked_s >= before
    assert one.baked_s == pytest.approx(most, abs=1e-6)
    assert one.baked_s <= now - 1000.0 + 1e-6


def test_where_the_watch_has_stopped_looking_nothing_is_called_well() -> None:
    looked = staged(checked_at=1000.0, baked_s=200.0)
    assert clock_words(looked, 1001.0) == "no objective burns"
    assert clock_words(looked, 1014.0) == "the bake clock stands: the watch has not looked for 14 s"
    assert ends_at(looked) == 1400.0
    assert ends_at(staged(checked_at=1000.0, held="paused")) is None
