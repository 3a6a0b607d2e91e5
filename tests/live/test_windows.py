"""The windows: equal to counting again from scratch, at every second."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from server.live.deltas import Delta, SeriesKey
from server.live.pairs import pack
from server.live.refusals import IntakeRow, refusals
from server.live.service import LiveService, ServicePart
from server.live.sketch import bucket, quantile_us
from server.live.sliding import Ring, milliseconds
from server.live.windows import LiveWindows
from tests.examples import examples

T = 1_790_000_000


def delta(second: int, durations: Sequence[int], bad: int = 0, route: str = "/a", version: str = "v1") -> Delta:
    key = SeriesKey("shop", version, route, "GET", 200)
    return Delta(1, key, second, len(durations), bad, sum(durations), {}, pack(Counter(map(bucket, durations))))


def only(windows: LiveWindows) -> LiveService:
    (picture,) = windows.pictures({})
    return picture


def p95(deltas: Sequence[Delta]) -> float | None:
    total: Counter[int] = Counter()
    for each in deltas:
        total.update({pair >> 32: pair & 0xFFFFFFFF for pair in each.sketch})
    return milliseconds(quantile_us(total, 0.95))


deltas = st.builds(
    delta,
    st.integers(T - 1000, T + 400),
    st.lists(st.integers(0, 10**7), min_size=1, max_size=4),
    st.integers(0, 1),
    st.sampled_from(["/a", "/b"]),
    st.sampled_from(["v1", "v2"]),
)


def at(arrival: tuple[int, Delta]) -> int:
    return arrival[0]


@settings(deadline=None, max_examples=examples(60))
@given(
    st.lists(st.tuples(st.integers(0, 200), deltas), max_size=40).map(lambda found: sorted(found, key=lambda x: x[0]))
)
def test_sliding_equals_counting_again(arrivals: list[tuple[int, Delta]]) -> None:
    windows, seen = LiveWindows(T), list[Delta]()
    for after, each in arrivals:
        windows.advance(T + after)
        windows.add(each)
        if each.second >= windows.end - 900:
            seen.append(each)
    end = windows.end
    windows.advance(end + 7)
    end = windows.end

    def within(span: int) -> list[Delta]:
        return [each for each in seen if end - span <= each.second < end]

    if not within(900):
        assert windows.pictures({}) == []
        return
    picture = only(windows)
    assert (picture.n, picture.bad) == (sum(d.n for d in within(60)), sum(d.bad for d in within(60)))
    assert (picture.n_5m, picture.bad_5m) == (sum(d.n for d in within(300)), sum(d.bad for d in within(300)))
    assert picture.p95_ms == p95(within(60))
    assert sum(point.n for point in picture.points) == sum(d.n for d in within(120))
    for point in picture.points:
        assert point.p95_ms == p95([d for d in within(120) if d.second == point.second])
    for part in picture.routes:
        mine = [d for d in within(60) if f"GET {d.series.route}" == part.name]
        assert (part.n, part.bad, part.p95_ms) == (sum(d.n for d in mine), sum(d.bad for d in mine), p95(mine))
    assert {v.name for v in picture.versions} == {d.series.version for d in within(60)}
    assert picture.last_seen == max(d.second for d in seen if d.second < end)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(-5, 30))), st.integers(-5, 60), st.integers(-5, 60))
def test_a_ring_equals_a_list(steps: list[tuple[int, int]], start: int, stop: int) -> None:
    ring, kept = Ring(10, 20), list[int]()
    for end, second in steps:
        ring.advance(end)
        if ring.end - 10 <= second < ring.end:
            kept.append(second)
            ring.add(second, 1, 0)
    low, high = max(start, ring.end - 10), min(stop, ring.end)
    assert ring.sum(start, stop)[0] == sum(low <= second < high for second in kept)


def test_outcomes_dated_ahead_wait_for_their_second() -> None:
    windows = LiveWindows(T)
    windows.add(delta(T + 100, [5]))
    assert windows.pictures({}) == []
    windows.advance(T + 100)
    assert windows.pictures({}) == []
    windows.advance(T + 101)
    assert only(windows).n == 1


def test_a_clock_that_goes_back_is_waited_out() -> None:
    windows = LiveWindows(T)
    windows.add(delta(T - 1, [5]))
    windows.advance(T - 50)
    assert (windows.end, only(windows).n) == (T, 1)


def test_the_worst_parts_come_first_and_the_rest_is_other() -> None:
    windows = LiveWindows(T)
    for number in range(30):
        windows.add(delta(T - 5, [1000] * (number + 1), bad=1 if number == 3 else 0, route=f"/{number}"))
    picture = only(windows)
    assert picture.worst_route == ServicePart("GET /3", 4, 1, picture.routes[0].p95_ms)
    assert [part.name for part in picture.routes[:2]] == ["GET /3", "GET /29"]
    assert (len(picture.routes), picture.routes[-1].name) == (21, "(other)")
    assert sum(part.n for part in picture.routes) == picture.n


def silent_after(per_second: float, silence: int, *, gather: int = 1) -> int | None:
    """A service that sends at a rate for 10 minutes, gathered for some seconds, and then stops."""
    windows, random_ = LiveWindows(T - 600), random.Random(1)
    held: list[Delta] = []
    for second in range(T - 600, T):
        windows.advance(second + 1)
        n = int(per_second) + (random_.random() < per_second % 1)
        if n:
            held.append(delta(second, [1000] * n))
        if second % gather == gather - 1 and held:
            for each in held:
                windows.add(each)
            windows.arrived("shop", second)
            held = []
    for second in range(T, T + silence + 1):
        windows.advance(second)
    return only(windows).silent_s


def test_a_service_that_stops_is_blind_after_ten_seconds() -> None:
    assert silent_after(5, 9) is None
    assert silent_after(5, 11) == 11


def test_a_rare_service_is_given_time() -> None:
    assert silent_after(0.2, 60) is None
    assert silent_after(0.2, 200) is not None


def test_a_sender_that_gathers_is_given_three_of_its_intervals() -> None:
    assert silent_after(5, 25, gather=10) is None
    assert silent_after(5, 35, gather=10) == 35


def test_a_long_silence_stays_blind_for_a_day_and_then_is_forgotten() -> None:
    assert silent_after(5, 3 * 3600) == 3 * 3600
    windows = LiveWindows(T)
    for second in range(T - 300, T):
        windows.add(delta(second, [1000] * 5))
    windows.advance(T + 70)
    windows.advance(T + 24 * 3600)
    windows.advance(T + 24 * 3600 + 70)
    assert windows.pictures({}) == []


def test_our_own_service_is_never_blind_because_its_requests_are_counted_here() -> None:
    windows = LiveWindows(T)
    for second in range(T - 300, T):
        one = delta(second, [1000] * 5)
        windows.add(one._replace(series=one.series._replace(service="evenkeel")))
        windows.add(one)
    windows.advance(T + 30)
    assert {s.name: s.silent_s for s in windows.pictures({})} == {"evenkeel": None, "shop": 30}


def test_what_we_refuse_on_purpose_is_counted_apart() -> None:
    windows = LiveWindows(T)
    for status, bad in ((200, 0), (413, 0), (429, 0), (503, 1)):
        one = delta(T - 5, [1000] * 4, bad)
        for service in ("evenkeel", "shop"):
            windows.add(one._replace(series=one.series._replace(service=service, status=status)))
    windows.advance(T + 1)
    # Of four 503 one was a full queue: that is a failure, the others a throttle's.
    assert {s.name: s.refused_requests for s in windows.pictures({})} == {"evenkeel": 4 + 4 + 3, "shop": 0}


def test_a_new_watch_recalls_who_was_silent() -> None:
    before = LiveWindows(T - 600)
    for second in range(T - 600, T):
        before.advance(second + 1)
        before.add(delta(second, [1000] * 5))
    before.advance(T + 2000)
    last = only(before)
    assert last.silent_s == 2000
    after = LiveWindows(T + 2000)
    after.recall(last)
    after.advance(T + 2005)
    assert (only(after).silent_s, only(after).usual_per_second) == (2005, 5.0)


def test_a_service_whose_sender_is_refused_is_not_silent_until_the_refusals_end() -> None:
    windows = LiveWindows(T - 300)
    for second in range(T - 300, T):
        windows.advance(second + 1)
        windows.add(delta(second, [1000] * 5))
    refused = refusals([IntakeRow(1, "ci", "shop", "THROTTLED", 3, 30)], {})
    for second in range(T, T + 1000):  # longer than the windows reach back
        windows.advance(second + 1)
        (picture,) = windows.pictures(refused)
        assert (picture.silent_s, picture.partial) == (None, True)
    assert (picture.n, picture.usual_per_second) == (0, 5.0)
    windows.advance(T + 1009)
    assert only(windows).silent_s is None
    windows.advance(T + 1013)
    assert only(windows).silent_s == 13


def test_an_imported_log_that_ends_is_no_silence_and_no_usual_rate() -> None:
    windows = LiveWindows(T - 300)
    for second in range(T - 300, T):
        windows.advance(second + 1)
        windows.add(delta(second, [1000] * 50)._replace(imported=True))
        if second < T - 30:
            windows.add(delta(second, [1000] * 2))
    windows.advance(T)
    both = only(windows)
    assert (both.silent_s, both.usual_per_second, both.last_seen) == (30, 2.0, T - 1)
    alone = LiveWindows(T)
    for second in range(T - 300, T):
        alone.add(delta(second, [1000] * 50)._replace(imported=True))
    alone.advance(T + 100)
    assert (only(alone).silent_s, only(alone).usual_per_second, only(alone).n_5m) == (None, None, 10_000)


def test_the_last_failure_and_what_came_since() -> None:
    windows = LiveWindows(T)
    windows.add(delta(T - 200, [1000] * 4, bad=2))
    for second in range(T - 199, T - 190):
        windows.add(delta(second, [1000] * 3))
    assert (only(windows).last_bad, only(windows).n_since_bad) == (T - 200, 27)
    after = LiveWindows(T)
    after.add(delta(T - 1, [1000]))
    after.recall(only(windows))
    assert only(after).last_bad == T - 200


def test_what_a_platform_lost_makes_its_service_blind() -> None:
    windows = LiveWindows(T)
    windows.add(delta(T - 5, [1000]))
    lost = refusals([IntakeRow(1, "drain", "shop", "LOST", 0, 491)], {})
    (picture,) = windows.pictures(lost)
    assert (picture.lost_items, picture.blind, picture.partial) == (491, True, False)
    assert not only(windows).blind


def test_refusals_are_counted_for_every_service_that_the_key_sends() -> None:
    rows = [
        IntakeRow(1, "ci", "shop", "accepted", 10, 1000),
        IntakeRow(1, "ci", "", "PAYLOAD_TOO_LARGE", 7, 0),
        IntakeRow(2, "app", "shop", "BATCH_TOO_LARGE", 2, 400),
        IntakeRow(3, "bad", "shop", "INVALID", 50, 50),
        IntakeRow(0, "", "", "UNAUTHENTICATED", 9, 0),
    ]
    found = refusals(rows, {1: ["shop", "mail"]})
    assert (found["shop"].accepted_items, found["shop"].refused_items) == (1000, 407)
    assert (found["shop"].reason, found["shop"].key) == ("BATCH_TOO_LARGE", "app")
    assert (found["mail"].accepted_items, found["mail"].refused_items, found["mail"].key) == (0, 7, "ci")
    assert set(found) == {"shop", "mail"}


def test_a_service_whose_everything_is_refused_is_in_the_picture_as_partial() -> None:
    windows = LiveWindows(T)
    (picture,) = windows.pictures(refusals([IntakeRow(1, "ci", "new", "THROTTLED", 3, 30)], {}))
    assert (picture.name, picture.n, picture.partial, picture.refused_by) == ("new", 0, True, "THROTTLED")
