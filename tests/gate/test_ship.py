"""Ship?: what the worst deploy cost, what comes back, and how it is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from server.gate import store
from server.gate.answer import Facts, GateAnswer, Question, SpentHour
from server.gate.returns import Return, next_return, reached_at
from server.gate.rule import gate
from server.gate.ship import DeployHours, Worst, left, ship, worst_deploy
from server.gate.store import deploy_costs
from server.kernel.db import Database
from server.slo.model.budget_policy import BudgetPolicy
from server.slo.model.status import ObjectiveStatus
from tests.gate.making import DAY_S, NOW, blind, objective

HOUR_S = 3600
WINDOW_S = 28 * DAY_S


def asked(*objectives: ObjectiveStatus) -> GateAnswer:
    return gate(Question("checkout", "deploy"), Facts(0.5, objectives), BudgetPolicy(), NOW)


def test_it_says_what_the_issue_says() -> None:
    one = objective(0.21)
    deploys = [DeployHours("a1", NOW - DAY_S, 2, 20, False), DeployHours("a2", NOW - 2 * DAY_S, 50, 60, False)]
    spending = [SpentHour(int(NOW) - WINDOW_S + DAY_S, 41), SpentHour(int(NOW) - DAY_S, 60)]
    found = ship(asked(one), [one], deploys, spending, NOW)
    assert (found.verdict, found.left) == ("Allowed, with caution.", "21 % left.")
    assert found.worst == Worst("a1", NOW - DAY_S, 0.18, False)
    assert found.returns == Return(0.41, int(NOW) + DAY_S + HOUR_S)


def test_of_a_ledger_that_is_recounted_nothing_is_reckoned() -> None:
    one = objective(0.21, recounting=True)
    deploys = [DeployHours("a1", NOW - DAY_S, 2, 20, False)]
    spending = [SpentHour(int(NOW) - WINDOW_S + DAY_S, 41)]
    found = ship(asked(one), [one], deploys, spending, NOW)
    assert (found.verdict, found.left, found.worst, found.deploys, found.returns) == (
        "Not known.",
        "Being recounted.",
        None,
        0,
        None,
    )


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (objective(0.62), "Allowed. 62 % left."),
        (objective(-0.12), "Denied. -12 % left."),
        (blind(0.12, 0.31), "Not known. 12 % to 31 % left."),
        (objective(1.0, recounting=True), "Not known. Being recounted."),
        (objective(None), "Allowed. No traffic."),
        (objective(-9, judged=False), "Allowed. Too little traffic to judge the budget."),
    ],
)
def test_no_value_is_never_told_as_a_number(one: ObjectiveStatus, words: str) -> None:
    answer = asked(one)
    assert f"{ship(answer, [one], [], [], NOW).verdict} {left(answer, one)}" == words


def test_deploys_that_cost_nothing_have_no_worst_one() -> None:
    better = [DeployHours("a1", NOW, 20, 3, False), DeployHours("a2", NOW, 0, 0, True)]
    assert worst_deploy(objective(0.5), better) is None
    assert worst_deploy(objective(None), [DeployHours("a1", NOW, 0, 9, False)]) is None, "a budget of nothing"
    assert worst_deploy(objective(0.5), []) is None
    few, several = DeployHours("a1", NOW, 0, 4, False), DeployHours("a1", NOW, 0, 5, False)
    assert worst_deploy(objective(0.5), [few]) is None, "a handful tells nothing"
    assert worst_deploy(objective(0.5), [several]) is not None
    little = objective(-9, judged=False)
    found = ship(asked(little), [little], [several], [], NOW)
    assert (found.worst, found.deploys) == (None, 0), "nor is a budget reckoned with that cannot be judged"


def test_only_what_leaves_within_a_week_and_is_notable_is_told() -> None:
    soon, later = int(NOW) - WINDOW_S, int(NOW) - WINDOW_S + 8 * DAY_S
    assert next_return(objective(0.1), [SpentHour(later, 90)], NOW) is None
    assert next_return(objective(0.1), [SpentHour(soon, 0)], NOW) is None
    assert next_return(objective(0.1), [SpentHour(soon - HOUR_S, 50)], NOW) is None, "it has left already"
    both = [SpentHour(soon + HOUR_S, 12), SpentHour(soon + 2 * HOUR_S, 12), SpentHour(later, 60)]
    assert next_return(objective(0.1), both, NOW) == Return(0.12, soon + HOUR_S + HOUR_S + WINDOW_S)


@pytest.mark.gen_test
async def test_a_deploy_costs_what_its_hour_took_beyond_the_hour_before(database_url: str) -> None:
    """By the minute while the minutes are kept, by the hour before that; what is excluded is nobody's doing."""
    db = Database(database_url)
    now = datetime.now(UTC).replace(second=30, microsecond=0)
    fresh, old = now - timedelta(hours=3), (now - timedelta(days=60)).replace(minute=50)

    async def put(table: str, at: datetime, bad: int) -> None:
        unit = {"ledger_minutes": "minute", "ledger_hours": "hour"}[table]
        at = at.replace(second=0) if unit == "minute" else at.replace(minute=0, second=0)
        async with db.act() as connection:
            await connection.exec_driver_sql(
                f"INSERT INTO {table} (objective_id, {unit}, good, bad, excluded) VALUES (1, %s, 100, %s, 0)", (at, bad)
            )

    async with db.act() as connection:
        await connection.exec_driver_sql("INSERT INTO objectives (name, indicator) VALUES ('works', 'i') RETURNING id")
        for at, version in ((fresh, "a2"), (old, "a1")):
            await connection.exec_driver_sql(
                "INSERT INTO changes (at, kind, service, version, summary, author) VALUES"
                " (%s, 'deploy', 'checkout', %s, '', 'ci'), (%s, 'deploy', 'other', 'z', '', 'ci')",
                (at, version, at),
            )
    minute = timedelta(minutes=1)
    # Its own minute holds what failed before its second: it is of neither.
    for offset, bad in ((-61, 1000), (-60, 5), (-1, 7), (0, 1000), (1, 30), (60, 11), (61, 1000), (20, 40)):
        await put("ledger_minutes", fresh + offset * minute, bad)
    for offset, bad in ((-120, 900), (-60, 4), (0, 50), (60, 80), (120, 900)):
        await put("ledger_hours", old + offset * minute, bad)
    async with db.act() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO ledger_left_out (objective_id, minute, good, bad) VALUES (1, %s, 100, 40)",
            ((fresh + 20 * minute).replace(second=0),),
        )
    async with db.ask() as connection:
        since = (now - timedelta(days=90)).timestamp()
        found = await deploy_costs(connection, "checkout", [1], since, now.timestamp())
        assert [(d.version, d.before, d.after, d.by_hours) for d in found[1]] == [
            ("a2", 12, 41, False),
            ("a1", 4, 80, True),
        ]
        (at,) = {one.at for one in found[1] if one.version == "a2"}
        assert at == fresh.timestamp()
        assert await deploy_costs(connection, "checkout", [], since, now.timestamp()) == {}
        hours = await store.spent_hours(connection, {1: since})
        assert [one.bad for one in hours[1]] == [900, 4, 50, 80, 900]
    await db.close()


def test_a_calendars_budget_comes_back_with_its_next_period() -> None:
    ends = int(NOW) + 2 * HOUR_S
    one = objective(0.1, period=(ends - 86_400, ends))
    assert next_return(one, [SpentHour(int(NOW) - 3 * HOUR_S, 50)], NOW) == Return(0.9, ends)
    assert reached_at(one, [SpentHour(int(NOW) - 3 * HOUR_S, 50)], lambda left: left >= 1) == ends
