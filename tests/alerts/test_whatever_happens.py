"""Any course of an alert, against what must always hold."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from server.alerts.alert import Alert
from server.alerts.machine import FLAPPING_RESOLVE_S, RESOLVE_S, Context
from server.slo.model.budget_policy import BudgetPolicy
from server.slo.model.status import Evidence
from tests.alerts.making import burning, clear
from tests.alerts.stepping import SILENCE, Objective, fired_page
from tests.examples import examples


class Turn(NamedTuple):
    said: Evidence | None
    context: Context
    seconds: int


SAID = some.one_of(
    some.none(),
    some.builds(clear, known=some.booleans()),
    some.builds(
        burning,
        bad_ratio=some.sampled_from([0.0005, 0.005, 0.02, 0.7]),
        urgency=some.sampled_from(["page", "ticket"]),
        due=some.booleans(),
        tier=some.sampled_from(["fast", "run", "1h/5m", "24h/2h"]),
        known=some.booleans(),
    ),
)


CONTEXTS = some.builds(
    Context,
    policy=some.just(BudgetPolicy()),
    depends=some.booleans(),
    awaited=some.booleans(),
    suppressor=some.sampled_from([None, None, replace(fired_page("payments"), id=9)]),
    silences=some.sampled_from([(), (), (SILENCE,)]),
)


TURNS = some.lists(some.builds(Turn, SAID, CONTEXTS, some.sampled_from([1, 2, 5, 59, 61, 200, 700, 1000])), max_size=40)


LEVEL = {"ticket": 1, "page": 2}


MOST = 70  # seconds of a turn that are stepped


@settings(max_examples=examples(300), deadline=None)
@given(TURNS)
def test_whatever_happens(turns: list[Turn]) -> None:
    one = Objective()
    told_level: dict[tuple[int, int], int] = {}  # by alert and firing
    clear_since = float("inf")  # known to be clear in every second since
    for turn in turns:
        one.now += max(0, turn.seconds - MOST)  # nobody watched for a while
        for _ in range(min(turn.seconds, MOST)):
            before, events = one.alert, one.second(turn.said, turn.context)
            calm = turn.said is not None and turn.said.known and (turn.said.tier is None or less(before, turn.said))
            clear_since = min(clear_since, one.now) if calm else float("inf")
            if before is not None and one.alert is None:
                flaps = before.flapping and before.state != "pending"
                assert one.now - clear_since >= (FLAPPING_RESOLVE_S if flaps else RESOLVE_S)
            worse_only(before, one.alert)
            after = one.alert or one.previous
            for event in events:
                if event.notice == "trigger":
                    assert after is not None
                    assert after.state == "firing"
                    assert not turn.context.silences
                    assert turn.context.suppressor is None
                    firing = (after.id, after.fired_times)
                    assert LEVEL[after.urgency] > told_level.get(firing, 0)
                    told_level[firing] = LEVEL[after.urgency]
                if event.notice in ("resolve", "update"):
                    assert after is not None
                    another = before is not None and after.fired_times > before.fired_times
                    assert after.told is not None or (event.notice == "resolve" and another)


def less(alert: Alert | None, said: Evidence) -> bool:
    """Whether a page has become a ticket's matter."""
    fires = alert is not None and alert.state in ("firing", "resolving")
    return fires and alert is not None and (alert.urgency, said.urgency) == ("page", "ticket")


def worse_only(before: Alert | None, after: Alert | None) -> None:
    """While it is open neither severity nor, once it has fired, urgency goes down."""
    if before is None or after is None:
        return
    assert after.severity <= before.severity
    if before.state != "pending":
        assert LEVEL[after.urgency] >= LEVEL[before.urgency]
