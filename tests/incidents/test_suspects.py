"""The rule that names suspects: what it must not depend on, what it says of known causes, and when it says nothing."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.incidents.suspect_rows import UNREAD, shares
from server.incidents.suspects import (
    LEAST,
    VALUES,
    Combination,
    Compared,
    Minute,
    Row,
    Suspect,
    candidates,
    causes,
    failing,
    score,
    search,
    weigh,
)
from tests.examples import examples
from tests.incidents.faults import KINDS, fault, right

Table = dict[tuple[str, ...], float]

VALUE = st.sampled_from(("a", "b", ""))
COUNTED = st.tuples(st.integers(1, 60), st.integers(0, 60)).map(lambda n: (n[0], min(n)))


def tables(width: int) -> st.SearchStrategy[list[Row]]:
    row = st.builds(lambda values, counted: Row(values, *counted), st.tuples(*[VALUE] * width), COUNTED)
    return st.lists(row, min_size=1, max_size=12)


def ranked(compared: Compared) -> list[Suspect]:
    return search(weigh(compared))


def told(suspects: list[Suspect]) -> dict[Combination, float]:
    """Those that tell anything: what the last bit of a share decides tells nothing."""
    return {one.combination: round(one.score, 6) for one in suspects if one.score > 1e-6}


@given(tables(4), tables(4), st.lists(st.sampled_from(("x", "y", "z")), min_size=2, max_size=4))
@settings(max_examples=examples(60), deadline=None)
def test_finer_rows_change_nothing(now: list[Row], before: list[Row], split: list[str]) -> None:
    """Neither the same rows in parts, nor told apart by a dimension after the fourth."""

    def parts(rows: list[Row]) -> list[Row]:
        share = 1 / len(split)
        return [Row((*row.values, part), row.n * share, row.bad * share) for row in rows for part in split]

    def whole(rows: list[Row]) -> list[Row]:
        return [Row((*row.values, "x"), row.n, row.bad) for row in rows]

    fine = told(ranked(Compared(parts(now), parts(before))))
    coarse = told(ranked(Compared(whole(now), whole(before))))
    last = 4
    assert {one: said for one, said in fine.items() if all(place < last for place, _ in one)} == {
        one: said for one, said in coarse.items() if all(place < last for place, _ in one)
    }


@given(st.dictionaries(st.tuples(VALUE, VALUE, VALUE, VALUE), st.floats(0.001, 1), min_size=1), st.data())
@settings(max_examples=examples(60), deadline=None)
def test_what_is_struck_out_early_is_what_would_not_be_named(weights: Table, data: st.DataObject) -> None:
    whole = sum(weights.values())
    shares = {values: weight / whole for values, weight in weights.items()}
    others = data.draw(st.dictionaries(st.tuples(VALUE, VALUE, VALUE, VALUE), st.floats(0, 9)))
    found = {one: (share, held) for one, share, held in candidates(shares, others)}
    every = brute(shares)
    expected = {one: (share, brute(others).get(one, 0.0)) for one, share in every.items() if share > LEAST + 1e-9}
    assert expected.keys() <= found.keys()
    assert all(found[one] == pytest.approx(said) for one, said in expected.items())
    assert all(every[one] >= LEAST - 1e-9 for one in found)


def brute(rows: Table) -> dict[Combination, float]:
    """Every combination of up to three values, without leaving any out."""
    counted: dict[Combination, float] = defaultdict(float)
    for values, weight in rows.items():
        said = [(place, value) for place, value in enumerate(values) if value]
        for size in range(1, VALUES + 1):
            for each in combinations(said, size):
                counted[each] += weight
    return counted


def test_the_score_is_what_a_failure_tells() -> None:
    assert score(0.92, 0.11) == pytest.approx(1.762, abs=0.001)
    assert score(1.0, 0.5) == pytest.approx(0.693, abs=0.001)
    assert score(0.1, 0.2) == 0.0, "what fails less than its share explains nothing"


@pytest.mark.parametrize("kind", KINDS)
def test_the_cause_of_simulated_faults_comes_first(kind: str) -> None:
    """A part of `python -m benchmarks suspects`: the first five of each kind that have enough failures to tell."""
    tried = []
    for seed in range(100, 130):
        made = fault(kind, seed, most=3000)
        found = causes(made.compared)
        if found:
            tried.append(any(right(made, one.combination) for one in found[0].close))
        if len(tried) == 5:
            break
    assert sum(tried) >= 4, f"of {len(tried)}"


def rows(*counted: tuple[str, str, int, int]) -> list[Row]:
    return [Row((route, version), n, bad) for route, version, n, bad in counted]


def test_what_is_read_counts_by_its_weight() -> None:
    one, four = UNREAD, UNREAD._replace(client="app", weight=4)
    assert shares([one, four], 10) == [(one, 2.0), (four, 8.0)]


def test_a_version_is_held_to_its_routes() -> None:
    """All of the new one's traffic is on the route that always failed: it is not at fault for that."""
    before = rows(("/bad", "1", 5000, 500), ("/good", "1", 5000, 5))
    now = rows(("/bad", "2", 1000, 100), ("/good", "1", 1000, 41))
    found = causes(Compared(now, before))
    assert found[0].suspects[0].combination == ((0, "/good"),)
    assert found[0].extra == pytest.approx(40, abs=2)


def test_a_deploy_to_all_is_compared_with_the_time_before() -> None:
    before = rows(*((f"/{n}", "1", 1000, 1) for n in range(5)))
    now = rows(*((f"/{n}", "2", 300, 30) for n in range(5)))
    assert causes(Compared(now, before))[0].suspects[0].combination == ((1, "2"),)


def test_one_busy_group_does_not_drown_many_that_fail_alike() -> None:
    """Groups differ beyond chance: 1 % more of one group of 100,000 tells less than 2 % more of twenty of 1,000."""
    old = [(f"/{n}", "1", 44_000, 44) for n in range(20)]
    new = [(f"/{n}", "2", 1000, 1) for n in range(20)]
    before = rows(("/busy", "1", 100_000, 1000), *old, *new)
    now = rows(("/busy", "1", 100_000, 2000), *old, *((route, "2", 1000, 21) for route, *_ in new))
    assert causes(Compared(now, before))[0].suspects[0].combination == ((1, "2"),)


def test_with_fewer_than_30_extra_failures_nothing_is_told() -> None:
    before = rows(("/a", "1", 1000, 0), ("/b", "1", 1000, 0))
    assert causes(Compared(rows(("/a", "1", 1000, 29), ("/b", "1", 1000, 0)), before)) == []
    assert causes(Compared(rows(("/a", "1", 1000, 30), ("/b", "1", 1000, 0)), before)) != []


def test_a_second_cause_is_named_with_a_fifth_of_the_failures() -> None:
    def named(second: int) -> list[Combination]:
        quiet = [("/" + letter, "1", 2000, 0) for letter in "cdefgh"]
        before = rows(("/a", "1", 2000, 0), ("/b", "1", 2000, 0), *quiet)
        now = rows(("/a", "1", 2000, 1000), ("/b", "1", 2000, second), *quiet)
        return [cause.suspects[0].combination for cause in causes(Compared(now, before))]

    assert named(400) == [((0, "/a"),), ((0, "/b"),)]
    assert named(100) == [((0, "/a"),)]


def test_what_the_failures_hardly_tell_apart_is_named_together() -> None:
    before = rows(("/a", "1", 1000, 0), ("/b", "1", 1000, 0), ("/c", "1", 1000, 0))
    now = [
        Row(("/a", "2"), 1000, 100),
        Row(("/a", "1"), 20, 1),
        Row(("/b", "2"), 20, 1),
        Row(("/b", "1"), 1000, 0),
        Row(("/c", "1"), 1000, 0),
    ]
    assert len(causes(Compared(now, before))[0].close) > 1


def test_a_dependency_that_only_failures_name_is_suspected_where_no_traffic_explains_them() -> None:
    before = [Row((f"/{n}", "1"), 1000, 1, ("", "ValueError", "500")) for n in range(6)]
    good = [Row((f"/{n}", "1"), 900, 0, ("", "", "")) for n in range(6)]
    bad = [Row((f"/{n}", "1"), 100, 100, ("stripe", "Timeout", "502")) for n in range(6)]
    suspects = causes(Compared(good + bad, before))[0].suspects
    assert suspects[0].combination[0] == (2, "stripe")


def test_it_fails_from_the_minute_of_most_extra_failures_near_the_alarm() -> None:
    counted = [Minute(60 * at, 1000, 2) for at in range(20)]
    counted[11] = Minute(660, 1000, 60)  # partly before the onset
    counted[12] = Minute(720, 1000, 200)
    counted[13] = Minute(780, 1000, 150)
    counted[14] = Minute(840, 1000, 90)
    for alarm in (601.0, 660.0, 719.0, 780.0):
        assert failing(counted, alarm) == (720, 840), f"alarm at {alarm}: 300 are extra after two minutes"
    assert failing(counted, 400.0) is None
    assert failing([], 400.0) is None


def test_on_little_traffic_chance_alone_does_not_end_what_fails() -> None:
    bad = [0] * 11 + [6, 0, 3, 0, 0, 2, 1, 3, 0, 0, 0, 0, 6]
    assert failing([Minute(60 * at, 15, n) for at, n in enumerate(bad)], 665.0) == (660, 1140), "four good ones end it"
    bad = [0] * 11 + [40, 0, 30]
    assert failing([Minute(60 * at, 150, n) for at, n in enumerate(bad)], 665.0) == (660, 720), "enough to tell"
