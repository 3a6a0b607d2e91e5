"""What says that a step has worked: second by second, pure."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from server.incidents.incident import Captured, Incident, IncidentState
from server.incidents.proof import needed_requests
from server.incidents.room import IncidentRoom
from server.incidents.runbook import parse_runbook
from server.incidents.steps import standing, to_look_at
from server.incidents.verification import (
    Baseline,
    KeptStep,
    Predicate,
    ServiceSight,
    Sight,
    StepState,
    found,
    looked,
    parse_verification,
)

NOW = 1_790_000_000.0
ASKED = parse_verification("error ratio under 1 % for 3 minutes, within 10")
FRESH = KeptStep(1, 1, "key-paths", "Key paths hold", "watching", NOW)
RUNBOOK = parse_runbook(
    """
triage:
  - {id: look, text: Look}
recover:
  - {id: paths, text: Paths hold, verify: "error ratio under 1 % for 3 minutes, within 10"}
  - {id: slow, text: It is fast, verify: "p95 normal, within 10", when: {kind: [latency], severity: [1, 2]}}
post-incident:
  - {id: report, text: Report, verify: report written}
"""
)


def sight(at: float, bad: int = 0, n: int = 60, *, per_second: int = 1, ratio: float = 0.0, unseen: str = "") -> Sight:
    seconds = [(second, per_second, 0) for second in range(int(at) - 120, int(at) + 1)]
    return Sight(at, [ServiceSight("checkout", n, bad, 80.0, 1.0, unseen=unseen, seconds=seconds)], failed_ratio=ratio)


def after(seconds: int, kept: KeptStep = FRESH, **more: object) -> KeptStep:
    """Looked at each second from when it began, or from where it is."""
    begin = 0 if kept is FRESH else int((kept.held_since or NOW) - NOW)
    for second in range(begin, seconds + 1):
        kept = looked(kept, ASKED, sight(NOW + second, **more))  # type: ignore[arg-type]
        if kept.decided_at is not None:
            break
    return kept


def test_it_is_confirmed_once_it_has_held() -> None:
    assert after(179).state == "watching"
    assert after(179).reading == "checkout: 0 of 60 fail (0 %). Held 2 min 59 s of 3 min."
    kept = after(300)
    assert (kept.state, kept.decided_at) == ("confirmed", NOW + 180)
    assert kept.reading == "checkout: 0 of 60 fail (0 %). Held 3 min."


def test_a_break_begins_the_hold_anew() -> None:
    broken = looked(after(170), ASKED, sight(NOW + 171, bad=1))
    assert (broken.state, broken.held_since, broken.good) == ("watching", None, 0)
    assert broken.reading == "checkout: 1 of 60 fail (1.7 %)."
    again = looked(broken, ASKED, sight(NOW + 172))
    assert after(172 + 180, again).decided_at == NOW + 172 + 180


@pytest.mark.parametrize(
    ("seen", "state", "reading"),
    [
        ({"bad": 30}, "failed", "checkout: 30 of 60 fail (50 %)."),
        ({"unseen": "is silent for 42 s"}, "no_data", "No data: checkout is silent for 42 s."),
        ({"n": 0}, "no_data", "No data: no request of checkout in the last minute."),
    ],
)
def test_the_deadline_decides(seen: dict[str, object], state: StepState, reading: str) -> None:
    assert after(599, **seen).decided_at is None
    kept = after(700, **seen)
    assert (kept.state, kept.decided_at, kept.reading) == (state, NOW + 600, reading)


def test_clean_minutes_are_not_enough_without_the_requests() -> None:
    """One request each 10 s: after 3 clean minutes there are 18 of the 74 that 4 % of failures take."""
    kept = FRESH
    for second in range(0, 700):
        at = NOW + second
        seconds = [(s, 1, 0) for s in range(int(at) - 120, int(at) + 1) if s % 10 == 0]
        kept = looked(kept, ASKED, Sight(at, [ServiceSight("checkout", 6, 0, seconds=seconds)], failed_ratio=0.04))
        if second == 190:
            assert kept.reading.endswith("Waiting for traffic: 19 of 74.")
        if kept.decided_at is not None:
            break
    assert needed_requests(0.04) == 74
    assert (kept.state, kept.decided_at) == ("no_data", NOW + 600), "too little to say is not a failure"


@given(st.integers(1, 5), st.floats(0.001, 1), st.integers(1, 30))
def test_every_good_request_counts_once(per_second: int, ratio: float, every: int) -> None:
    """However often it is looked at, what has come since it holds is counted once, but for the last seconds."""
    kept, steps = FRESH, range(0, 600, every)
    for second in steps:
        kept = looked(kept, ASKED, sight(NOW + second, per_second=per_second, ratio=ratio))
        assert kept.good == second * per_second
        if kept.decided_at is not None:
            break
    needed = needed_requests(ratio)
    if kept.state == "confirmed":
        assert kept.good >= needed
    else:
        assert kept.good < needed


@pytest.mark.parametrize(
    ("predicate", "seen", "holds"),
    [
        (Predicate("error_ratio", Decimal(1)), {"bad": 1, "n": 100}, False),
        (Predicate("error_ratio", Decimal("1.1")), {"bad": 1, "n": 100}, True),
        (Predicate("p95", Decimal(300)), {"p95_ms": 300.0}, False),
        (Predicate("p95", Decimal(300)), {"p95_ms": None}, None),
        (Predicate("p95"), {"p95_ms": 120.0}, True),
        (Predicate("p95"), {"p95_ms": 121.0}, False),
        (Predicate("p95"), {"baseline": None}, None),
        (Predicate("traffic"), {"per_second": 0.9}, False),
        (Predicate("traffic"), {"per_second": 1.0}, True),
        (Predicate("traffic"), {"per_second": 4.1}, False),
        (Predicate("traffic"), {"baseline": None}, None),
        (Predicate("objectives"), {"holding": None}, None),
        (Predicate("objectives"), {"holding": False}, False),
        (Predicate("traffic"), {"unseen": "is silent for 4 s"}, None),
    ],
)
def test_a_predicate(predicate: Predicate, seen: dict[str, object], holds: bool | None) -> None:
    usual = ServiceSight(
        "checkout", 100, 0, 80.0, 2.0, holding=True, baseline=Baseline(2.0, 80.0, "the hour before the onset")
    )
    assert found(predicate, Sight(NOW, [replace(usual, **seen)])).holds is holds


def test_what_holds_for_evenkeel_and_the_alerts() -> None:
    usual = Sight(NOW, [], processes=3, redis=None)
    assert found(Predicate("evenkeel"), usual).holds
    assert not found(Predicate("evenkeel"), replace(usual, silent=1)).holds
    assert found(Predicate("evenkeel"), replace(usual, redis=False)).text == "3 of 3 processes answer, Redis lost"
    assert found(Predicate("alerts"), usual).holds
    assert not found(Predicate("alerts"), replace(usual, open_alerts=1)).holds
    silent = found(Predicate("alerts"), replace(usual, open_signals=1))
    assert (silent.holds, silent.text) == (False, "0 alerts open, 1 signal without an end")
    assert found(Predicate("alerts"), replace(usual, blind="nothing is evaluated")).holds is None
    assert found(Predicate("traffic"), usual).holds is None, "it names no service"


def room(state: IncidentState, *kept: KeptStep, **more: object) -> IncidentRoom:
    captured = Captured(NOW, NOW, "change point", "")
    incident = Incident(1, state, 2, "failing", "checkout", "alert", NOW, "change point", NOW, captured)
    return IncidentRoom(replace(incident, **more), steps=list(kept))


def test_a_phase_that_begins_anew_is_watched_anew() -> None:
    paths = RUNBOOK.steps[1]
    assert to_look_at(paths, room("investigating"), NOW + 70) is None
    first = KeptStep(0, 1, "paths", "Paths hold", "watching", NOW + 70)
    assert to_look_at(paths, room("monitoring", over_at=NOW + 60), NOW + 70) == first
    confirmed = replace(first, id=5, state="confirmed", decided_at=NOW + 240, owner="jon")
    assert to_look_at(paths, room("monitoring", confirmed, over_at=NOW + 60), NOW + 300) is None
    again = room("monitoring", confirmed, over_at=NOW + 900)
    assert to_look_at(paths, again, NOW + 950) == replace(first, id=5, began_at=NOW + 950, owner="jon")
    overridden = replace(confirmed, state="overridden", decided_by="mira")
    assert to_look_at(paths, room("monitoring", overridden, over_at=NOW + 900), NOW + 950) is None


def test_the_next_step_is_the_first_that_is_left() -> None:
    def of(*kept: KeptStep, **more: object) -> dict[str, tuple[StepState, bool]]:
        return {one.id: (one.state, one.next) for one in standing(RUNBOOK, room("monitoring", *kept, **more), [])}

    assert of() == {
        "look": ("open", True),
        "paths": ("open", False),
        "slow": ("open", False),
        "report": ("open", False),
    }
    done = KeptStep(1, 1, "look", "Look", "done", NOW, decided_at=NOW, decided_by="mira")
    given_away = replace(done, id=2, step="paths", state="failed", owner="jon")
    assert of(done, given_away, severity=3)["report"] == ("open", True), "a step is somebody's, another is not for it"
    assert of(done, root_cause="a bad query")["report"] == ("confirmed", False)
