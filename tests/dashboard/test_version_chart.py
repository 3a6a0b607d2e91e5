"""Requests per second by version: what is shown together is all, and a new version begins where it began."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dashboard.incidents.version_chart import SHOWN, together, version_chart
from server.kernel.names import OTHER
from server.live.answers import VersionCounts

STEPS = st.integers(0, 9).map(lambda n: 5 * n)
COUNTS = st.dictionaries(st.sampled_from(["", OTHER, *"abcdefghij"]), st.dictionaries(STEPS, st.integers(1, 99)))


@given(COUNTS)
def test_the_sum_of_what_is_shown_is_that_of_all(counts: dict[str, dict[int, int]]) -> None:
    shown = together(counts)
    assert len(shown) <= SHOWN + 1
    for at in range(0, 50, 5):
        assert sum(one.get(at, 0) for one in shown.values()) == sum(one.get(at, 0) for one in counts.values())
    apart = {name: sum(one.values()) for name, one in shown.items() if name != OTHER}
    left = [sum(one.values()) for name, one in counts.items() if name not in shown]
    assert min(apart.values(), default=0) >= max(left, default=0) or not left


def test_a_new_version_begins_where_it_began_and_the_step_under_way_is_left_out() -> None:
    counts = {"v1": {0: 50, 5: 50, 10: 25}, "v2": {10: 25, 15: 50, 20: 5}}
    chart = version_chart(VersionCounts(0, 20, 5, counts), 10.0, "v2")
    assert chart is not None
    assert (chart.start, chart.end, chart.onset_x) == (0, 20, 50.0)
    old, new = sorted(chart.lines, key=lambda one: one.name)
    assert (old.suspect, old.per_second) == (False, "0")
    assert (new.suspect, new.per_second) == (True, "10"), "of the last step that is over"
    three = version_chart(VersionCounts(0, 20, 5, counts | {"v0": {0: 9}}), 10.0, "v2")
    assert three is not None
    assert {one.name: one.look for one in three.lines} == {
        "v1": "other dash-0",
        "v2": "over",
        "v0": "other dash-1",
    }, "no two are drawn alike"
    assert old.path.startswith("M0 ")
    assert new.path.startswith("M666.7 "), "two of three steps to the right"
    assert new.path.count("L") == 1
    over = version_chart(VersionCounts(0, 20, 5, counts), 10.0, "v2", 15.0)
    assert over is not None
    assert (chart.over_x, over.over_x) == (100.0, 75.0), "shaded until it was over"
    assert version_chart(VersionCounts(0, 20, 5, {}), 10.0, "") is None
