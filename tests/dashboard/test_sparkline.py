"""The small charts: gaps stay gaps, the scale starts at 0, and a moved line is the same text."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from dashboard.now import sparkline as spark
from server.live.service import Point

END = 1_000_000


def point(second: int, n: int = 10, bad: int = 0, p95: float | None = 20.0) -> Point:
    return Point(second, n, bad, p95)


def test_a_column_without_traffic_breaks_the_line() -> None:
    points = [point(END - 20), point(END - 18), point(END - 10), point(END - 8)]
    path = spark.sparkline(points, END, spark.error_ratio).path
    assert path == "M101 26h0l2 0M111 26h0l2 0"


def test_a_lone_column_is_a_dot() -> None:
    assert spark.sparkline([point(END - 4)], END, spark.error_ratio).path == "M117 26h0"


def test_no_request_is_a_true_zero_of_requests_but_no_ratio() -> None:
    assert spark.sparkline([], END, spark.error_ratio).path == ""
    assert spark.sparkline([], END, spark.per_second).path.startswith("M1 26h0l2 0")


def test_the_top_is_at_least_twice_the_threshold() -> None:
    calm = spark.sparkline([point(END - 4, 1000, 0)], END, spark.error_ratio, threshold=0.001)
    assert calm.top == 0.002
    assert calm.threshold_y == 14
    burning = spark.sparkline([point(END - 4, 10, 3)], END, spark.error_ratio, threshold=0.001)
    assert burning.top == 0.5


def test_silence_is_hatched_and_not_drawn() -> None:
    chart = spark.sparkline([point(END - 60), point(END - 42)], END, spark.per_second, silent_s=42)
    assert chart.silent_x == 78
    xs = [int(x) for x in re.findall(r"M(\d+)", chart.path)]
    assert xs == [1]
    assert chart.path.count("l") == 38, "one step a column up to the silence"


def test_silence_longer_than_the_chart_is_all_hatched() -> None:
    chart = spark.sparkline([], END, spark.error_ratio, silent_s=100_000)
    assert (chart.silent_x, chart.path) == (0, "")


def test_a_line_that_moved_by_a_column_is_the_same_text_but_for_its_ends() -> None:
    points = [point(second, 10, second % 7) for second in range(END - 120, END + 2)]
    before = spark.sparkline(points[:-2], END, spark.error_ratio).path
    after = spark.sparkline(points[2:], END + 2, spark.error_ratio).path
    steps = re.findall(r"l[^l]+", before)
    assert re.findall(r"l[^l]+", after)[: len(steps) - 1] == steps[1:]


@given(
    st.lists(
        st.builds(
            Point, st.integers(END - 200, END + 5), st.integers(1, 10**6), st.just(0), st.floats(0, 1e7) | st.none()
        ),
        max_size=150,
    )
)
def test_nothing_is_drawn_outside(points: list[Point]) -> None:
    for value in (spark.error_ratio, spark.slowest_p95, spark.per_second):
        y = 0.0
        for command, first, second in re.findall(
            r"([Ml])(-?[\d.]+) (-?[\d.]+)", spark.sparkline(points, END, value).path
        ):
            y = float(second) if command == "M" else y + float(second)
            assert spark.TOP_Y - 0.01 <= y <= spark.BASE_Y + 0.01
            if command == "M":
                assert 0 <= float(first) <= spark.WIDTH


@given(st.floats(1e-6, 1e9))
def test_the_top_is_one_two_or_five(highest: float) -> None:
    top = spark.scale_top([highest], None)
    assert highest <= top * (1 + 1e-9)
    assert top <= 2.5 * highest * (1 + 1e-9)
    assert re.fullmatch(r"[125]\.?0*e[+-]\d+", f"{top:.6e}"), top
