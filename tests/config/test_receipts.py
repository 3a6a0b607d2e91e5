"""How far a revision has come, from what the database shows of each process."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from server.config.receipts import Awaited, Due, Progress, WebProcess, progress

MADE, NOW = 1000.0, 1020.0


def seen(name: str, number: int, **more: Any) -> WebProcess:
    values: dict[str, Any] = {
        "id": number,
        "host": "h",
        "name": name,
        "started_at": 500.0,
        "silent_s": 0.4,
        "revision": 14,
        "applied_at": MADE + 0.120,
        "applied": {},
    }
    return WebProcess(**(values | more))


def judged(*found: WebProcess, now: float = NOW) -> Progress:
    return progress(found, Awaited(14, {one.id: Due(14, MADE) for one in found}, now, {3: "batch items 100"}))


def test_all_have_applied_it() -> None:
    all_of_them = [seen(f"web.{i}", i, applied_at=MADE + i * 0.03) for i in range(1, 5)]
    shown = judged(*all_of_them)
    assert (shown.text, shown.complete, shown.slowest_ms) == ("4 of 4 processes, slowest 120 ms", True, 120.0)
    assert shown.stragglers == shown.gone == []


def test_one_process_and_a_slow_one() -> None:
    assert judged(seen("web.1", 1, applied_at=MADE + 1.2345)).text == "1 of 1 process, slowest 1.23 s"


def test_a_straggler_is_named_with_what_it_may_still_enforce() -> None:
    frozen = seen("web.3", 3, revision=13, applied_at=900.0, silent_s=12.3)
    shown = judged(seen("web.1", 1), frozen)
    assert (shown.text, shown.complete) == ("1 of 2 processes", False)
    assert [one.text for one in shown.stragglers] == ["web.3 silent for 12 s; may still enforce batch items 100"]
    busy = judged(seen("web.3", 3, revision=13, applied_at=900.0))
    assert busy.stragglers[0].text == "web.3 has not applied it yet; may still enforce batch items 100"


def test_within_the_first_second_nobody_is_a_straggler() -> None:
    shown = judged(seen("web.3", 3, revision=13), now=MADE + 0.5)
    assert (shown.stragglers, shown.receipts[0].state, shown.text) == ([], "pending", "0 of 1 process")


def test_after_thirty_seconds_of_silence_a_process_is_gone_and_no_longer_counted() -> None:
    shown = judged(seen("web.1", 1), seen("web.2", 2, revision=13, silent_s=30.1))
    assert (shown.text, shown.complete) == ("1 of 1 process, slowest 120 ms", True)
    assert [one.text for one in shown.gone] == ["web.2 gone: no heartbeat for 30 s"]
    assert judged(seen("web.2", 2, silent_s=200)).gone[0].text == "web.2 gone: no heartbeat for 3 min"


def test_what_was_applied_at_the_start_has_no_time_to_apply() -> None:
    shown = judged(seen("web.1", 1, started_at=1015.0, applied_at=1015.2))
    assert (shown.receipts[0].applied_after_ms, shown.receipts[0].at_start, shown.slowest_ms) == (None, True, None)
    assert shown.text == "1 of 1 process"


def test_with_two_machines_names_carry_the_machine() -> None:
    shown = judged(seen("web.1", 1), seen("web.1", 2, host="other"))
    assert [one.process for one in shown.receipts] == ["h/web.1", "other/web.1"]


def test_nobody_is_there() -> None:
    assert (judged().text, judged().complete, judged().of) == ("0 of 0 processes", True, 0)


@given(
    st.lists(
        st.builds(
            lambda i, name, silent, revision, started: seen(
                name, i, silent_s=silent, revision=revision, started_at=started
            ),
            st.integers(1, 999),
            st.sampled_from(["web.1", "web.2", "web.3"]),
            st.floats(0, 60),
            st.sampled_from([None, 12, 13, 14]),
            st.floats(0, NOW),
        ),
        max_size=8,
        unique_by=lambda one: one.id,
    )
)
def test_every_process_is_in_one_state_and_complete_means_that_nobody_is_missing(found: list[WebProcess]) -> None:
    shown = judged(*found)
    assert shown.applied == sum(one.state == "applied" for one in shown.receipts)
    assert len(shown.receipts) == shown.of
    assert shown.complete == all(one.revision == 14 for one in shown.receipts)
    assert not shown.complete or not shown.stragglers
    listed = {one.process_id for one in [*shown.receipts, *shown.gone]}
    assert listed == {one.id for one in found}
