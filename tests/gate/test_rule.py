"""The gate's rule as a table: what is known, and what is answered."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.alerts.alert import Alert
from server.gate.answer import Facts, Postmortem, Question, RolledBack, SpentHour
from server.gate.rule import gate
from server.kernel.times import utc
from server.slo.model.budget_policy import Allowance, BudgetPolicy
from tests.gate.making import DAY_S, NOW, alert, blind, objective, override

DEPLOY = Question("checkout", "deploy", "5f2c1a9")
SECURITY = replace(DEPLOY, reason="security")
DEFAULT = BudgetPolicy()
STRICT = BudgetPolicy(
    allows={
        "healthy": Allowance(("deploy", "revision", "scale", "flag")),
        "caution": Allowance(("scale", "revision"), ("p0",)),
        "frozen": Allowance(("scale",), ("p0",)),
    }
)
UNDONE = RolledBack("jon@example.com", utc(NOW - 3600))
NEEDED = replace(DEPLOY, reason="incident")


def taken(state: str = "firing", **given: Any) -> Alert:
    by = {"acknowledged_at": NOW - 30, "acknowledged_by": "jon@example.com", "acknowledged_as": "page"}
    return alert(state, **(by | given))


TAKEN = taken()
MIRA = override(NOW + 1800)


def known(*objectives: Any, **more: Any) -> Facts:
    return Facts(0.5, objectives, **more)


TABLE = [
    # facts, question, policy, answer, state, the rules that applied
    (known(objective(0.62)), DEPLOY, DEFAULT, "allow", "healthy", "budget"),
    (known(objective(0.18)), DEPLOY, DEFAULT, "allow", "caution", "budget"),
    (known(objective(0.25)), DEPLOY, DEFAULT, "allow", "healthy", "budget"),
    (known(objective(0.0)), DEPLOY, DEFAULT, "deny", "frozen", "budget"),
    (known(objective(-0.12)), DEPLOY, DEFAULT, "deny", "frozen", "budget"),
    (known(objective(0.62), objective(-0.1, "slow")), DEPLOY, DEFAULT, "deny", "frozen", "budget"),
    (known(objective(-0.12)), SECURITY, DEFAULT, "allow", "frozen", "budget exception"),
    # what the policy says of each kind in each state
    (known(objective(0.18)), DEPLOY, STRICT, "deny", "caution", "budget"),
    (known(objective(0.18)), SECURITY, STRICT, "deny", "caution", "budget"),
    (known(objective(0.18)), replace(DEPLOY, reason="p0"), STRICT, "allow", "caution", "budget exception"),
    (known(objective(-1.0)), Question("checkout", "scale"), STRICT, "allow", "frozen", "budget"),
    (known(objective(-1.0)), Question("checkout", "revision"), STRICT, "deny", "frozen", "budget"),
    # nothing to hold it to
    (known(), DEPLOY, DEFAULT, "allow", None, "no_objective"),
    (known(objective(None)), DEPLOY, DEFAULT, "allow", None, "no_traffic"),
    (known(objective(None), objective(-0.1, "slow")), DEPLOY, DEFAULT, "deny", "frozen", "budget"),
    (known(objective(-2.0, judged=False)), DEPLOY, DEFAULT, "allow", "healthy", "budget"),
    # an objective that nobody configured cautions at most
    (known(objective(-3.0, provisional=True)), DEPLOY, DEFAULT, "allow", "caution", "budget"),
    (known(blind(-5, -3, provisional=True)), DEPLOY, DEFAULT, "unknown", None, "budget_not_known"),
    (known(blind(0.4, 0.9, provisional=True)), DEPLOY, DEFAULT, "unknown", None, "budget_not_known"),
    (known(blind(0.4, 0.9, provisional=True)), DEPLOY, BudgetPolicy(blind="deny"), "deny", None, "budget_not_known"),
    (known(blind(0.4, 0.9, provisional=True)), DEPLOY, BudgetPolicy(blind="allow"), "allow", None, "budget_not_known"),
    # not known: the policy decides, unless even the best end is frozen
    (known(blind(0.1, 0.3)), DEPLOY, DEFAULT, "unknown", None, "budget_not_known"),
    (known(blind(0.5, 0.9, state="partial")), DEPLOY, DEFAULT, "unknown", None, "budget_not_known"),
    (known(blind(0.1, 0.3)), DEPLOY, BudgetPolicy(blind="deny"), "deny", None, "budget_not_known"),
    (known(blind(0.1, 0.3)), DEPLOY, BudgetPolicy(blind="allow"), "allow", None, "budget_not_known"),
    (known(blind(-0.4, -0.1)), DEPLOY, BudgetPolicy(blind="allow"), "deny", "frozen", "budget"),
    (known(blind(0.1, 0.3)), SECURITY, DEFAULT, "allow", None, "budget_not_known exception"),
    (known(objective(None, state="blind")), DEPLOY, DEFAULT, "unknown", None, "budget_not_known"),
    # while the whole ledger is recounted nothing is known, however good or bad it looks
    (known(objective(1.0, recounting=True)), DEPLOY, DEFAULT, "unknown", None, "budget_not_known"),
    (known(objective(-1.0, recounting=True)), DEPLOY, DEFAULT, "unknown", None, "budget_not_known"),
    (known(objective(None, recounting=True)), DEPLOY, DEFAULT, "unknown", None, "budget_not_known"),
    (known(blind(-5, -3, recounting=True)), DEPLOY, DEFAULT, "unknown", None, "budget_not_known"),
    (known(objective(1.0, recounting=True)), DEPLOY, BudgetPolicy(blind="deny"), "deny", None, "budget_not_known"),
    (known(objective(1.0, recounting=True)), SECURITY, DEFAULT, "allow", None, "budget_not_known exception"),
    # the picture
    (Facts(None), DEPLOY, DEFAULT, "unknown", None, "picture"),
    (Facts(10.1, [objective(0.62)]), DEPLOY, DEFAULT, "unknown", None, "picture"),
    (Facts(9.9, [objective(0.62)]), DEPLOY, DEFAULT, "allow", "healthy", "budget"),
    (Facts(60, [objective(0.62)], [TAKEN]), NEEDED, DEFAULT, "unknown", None, "picture"),
    (Facts(60, overrides=[MIRA]), DEPLOY, DEFAULT, "allow", None, "picture override"),
    # alerts
    (known(objective(0.62), alerts=[alert()]), DEPLOY, DEFAULT, "deny", "healthy", "alert"),
    (known(objective(0.62), alerts=[alert(urgency="ticket")]), DEPLOY, DEFAULT, "allow", "healthy", "budget"),
    (known(objective(0.62), alerts=[alert("pending")]), DEPLOY, DEFAULT, "allow", "healthy", "budget"),
    (known(objective(0.62), alerts=[alert()]), Question("checkout", "scale"), DEFAULT, "allow", "healthy", "budget"),
    (known(objective(0.62), alerts=[alert()]), SECURITY, DEFAULT, "allow", "healthy", "alert exception"),
    (known(objective(-0.2), alerts=[TAKEN]), NEEDED, DEFAULT, "allow", "frozen", "alert open_incident"),
    (known(objective(-0.2), alerts=[TAKEN]), DEPLOY, DEFAULT, "deny", "frozen", "alert"),
    (known(objective(-0.2), alerts=[alert()]), NEEDED, DEFAULT, "deny", "frozen", "alert"),
    (known(objective(-0.2), alerts=[taken("pending")]), NEEDED, DEFAULT, "deny", "frozen", "budget"),
    (known(objective(-0.2), alerts=[taken("resolving")]), NEEDED, DEFAULT, "deny", "frozen", "budget"),
    (known(objective(-0.2), alerts=[taken(urgency="ticket")]), NEEDED, DEFAULT, "deny", "frozen", "budget"),
    (known(objective(-0.2), alerts=[taken(urgency="ticket"), alert()]), NEEDED, DEFAULT, "deny", "frozen", "alert"),
    (known(objective(-0.2), alerts=[taken(acknowledged_as="ticket")]), NEEDED, DEFAULT, "deny", "frozen", "alert"),
    (known(objective(-0.2)), NEEDED, DEFAULT, "deny", "frozen", "budget"),
    # versions
    (known(objective(0.62), rolled_back=UNDONE), DEPLOY, DEFAULT, "deny", "healthy", "rolled_back_version"),
    (known(objective(0.62), rolled_back=UNDONE), SECURITY, DEFAULT, "deny", "healthy", "rolled_back_version"),
    (
        known(objective(0.62), alerts=[TAKEN], rolled_back=UNDONE),
        NEEDED,
        DEFAULT,
        "deny",
        "healthy",
        "rolled_back_version",
    ),
    (known(rolled_back=UNDONE, overrides=[MIRA]), DEPLOY, DEFAULT, "allow", None, "rolled_back_version override"),
    (known(objective(-0.5), going_back=True), DEPLOY, DEFAULT, "allow", "frozen", "going_back"),
    (Facts(None, going_back=True), DEPLOY, DEFAULT, "allow", None, "going_back"),
    (known(going_back=True, rolled_back=UNDONE), DEPLOY, DEFAULT, "deny", None, "rolled_back_version"),
    # overrides
    (known(objective(-0.2), overrides=[MIRA]), DEPLOY, DEFAULT, "allow", "frozen", "budget override"),
    (known(objective(0.62), overrides=[MIRA]), DEPLOY, DEFAULT, "allow", "healthy", "budget"),
    (known(objective(-0.2), overrides=[override(NOW)]), DEPLOY, DEFAULT, "deny", "frozen", "budget"),
    (known(objective(-0.2), overrides=[override(NOW + 60, kind="flag")]), DEPLOY, DEFAULT, "deny", "frozen", "budget"),
    (
        known(objective(-0.2), overrides=[override(NOW + 60, revoked_at=utc(NOW - 1))]),
        DEPLOY,
        DEFAULT,
        "deny",
        "frozen",
        "budget",
    ),
]


@pytest.mark.parametrize(("facts", "question", "policy", "answer", "state", "rules"), TABLE)
def test_what_is_known_decides(
    facts: Facts, question: Question, policy: BudgetPolicy, answer: str, state: str | None, rules: str
) -> None:
    found = gate(question, facts, policy, NOW)
    assert (found.answer, found.state) == (answer, state), found.reason
    assert " ".join(rule.rule for rule in found.rules) == rules
    assert found.rules[-1].answer == answer


SENTENCES = [
    (known(objective(0.62)), "Allowed: 62 % of the budget of checkout-works is left."),
    (
        known(objective(0.18)),
        "Allowed, with caution: 18 % of the budget of checkout-works is left, under the 25 % that asks for caution.",
    ),
    (
        known(objective(-0.12)),
        "Denied: -12 % of the budget of checkout-works is left, and it is frozen at 0 %, where the policy stops "
        "deploys.",
    ),
    (
        known(objective(-0.12), overrides=[MIRA]),
        "Allowed, with caution: overridden by mira@example.com until 2027-01-15 08:30 UTC (hotfix). Without that "
        "denied: -12 % of the budget of checkout-works is left, and it is frozen at 0 %, where the policy stops "
        "deploys.",
    ),
    (
        known(blind(0.12, 0.31)),
        "Not known: the budget of checkout-works is not known (12 % to 31 % is left), as checkout is blind: its "
        "outcomes do not come.",
    ),
    (
        known(blind(0.12, 0.31, recounting=True)),
        "Not known: the budget of checkout-works is not known, as it is being recounted.",
    ),
    (
        known(objective(-2, judged=False, good=7, bad=3)),
        "Allowed: the budget of checkout-works has too little traffic to be judged (3 of 10 failed).",
    ),
    (Facts(14.2), "Not known: the objectives were evaluated 14 s ago and no watch evaluates them now."),
    (
        known(alerts=[alert()]),
        "Denied: the alert of checkout-works fires, SEV-2, since 2027-01-15 07:58 UTC, and that stops deploys.",
    ),
]


def test_what_an_incident_needs_is_told_in_two_sentences() -> None:
    assert gate(NEEDED, known(objective(0.62), alerts=[TAKEN]), DEFAULT, NOW).reason == (
        "Allowed: what an open incident needs is not gated, and jon@example.com works on checkout-works. "
        "Without that denied: the alert of checkout-works fires, SEV-2, since 2027-01-15 07:58 UTC, and that stops "
        "deploys."
    )


def test_a_version_that_was_rolled_back_changes_only_by_an_override() -> None:
    found = gate(DEPLOY, known(objective(0.62), rolled_back=UNDONE), DEFAULT, NOW)
    assert (found.changes_at, found.changes_when) == (None, "only when somebody overrides it")


@pytest.mark.parametrize(("facts", "reason"), SENTENCES)
def test_the_reason_is_a_sentence_with_the_numbers(facts: Facts, reason: str) -> None:
    assert gate(DEPLOY, facts, DEFAULT, NOW).reason == reason


SPENT = {"checkout-works": [SpentHour(int(NOW) - 28 * DAY_S + 7200, 20), SpentHour(int(NOW) - DAY_S, 92)]}


def test_a_frozen_budget_says_when_enough_failures_have_left_its_window() -> None:
    """112 of 100 are spent; 20 leave with the first hour, which is wholly out 28 days after it ended."""
    found = gate(DEPLOY, known(objective(-0.12), spending=SPENT), DEFAULT, NOW)
    assert found.changes_at == utc(NOW + 7200 + 3600)
    # To stand over caution, the second hour has to leave too.
    strict = gate(DEPLOY, known(objective(-0.12), spending=SPENT), STRICT, NOW)
    assert strict.changes_at == utc(NOW + 27 * DAY_S + 3600)
    # Every budget that stops it has to thaw: of one, nothing is known.
    both = gate(DEPLOY, known(objective(-0.12), objective(-1, "slow"), spending=SPENT), DEFAULT, NOW)
    assert (both.changes_at, both.changes_when) == (None, "once enough failures have left the window")
    exactly = known(objective(-0.2), spending={"checkout-works": [SpentHour(0, 20), SpentHour(3600, 1)]})
    assert gate(DEPLOY, exactly, DEFAULT, NOW).changes_at == utc(7200 + 28 * DAY_S), "0 % left is still frozen"


def test_what_is_not_known_says_what_it_waits_for() -> None:
    for one, when in (
        (objective(0.9, recounting=True), "once it is recounted"),
        (blind(0.1, 0.3), "once its senders are heard in full"),
    ):
        found = gate(DEPLOY, known(one), DEFAULT, NOW)
        assert (found.changes_at, found.changes_when) == (None, when)
    found = gate(DEPLOY, known(objective(0.9, recounting=True)), DEFAULT, NOW)
    assert found.budget is not None
    assert (found.budget.left, found.budget.worst, found.budget.best) == (None, None, None)


def test_an_override_ends_when_the_last_one_does_and_answers_say_who_made_it() -> None:
    jon = override(NOW + 60, id=2, author="jon@example.com")
    found = gate(DEPLOY, known(objective(-0.2), overrides=[jon, MIRA]), DEFAULT, NOW)
    assert (found.changes_at, found.changes_when) == (MIRA.expires_at, "the override ends")
    assert [one.author for one in found.overrides] == ["mira@example.com", "jon@example.com"]


def test_one_incident_that_used_too_much_asks_for_a_postmortem_whatever_the_answer() -> None:
    spent = [Postmortem(7, "checkout-works", utc(NOW - DAY_S), share) for share in (0.2, 0.201, 0.6)]
    found = gate(DEPLOY, known(objective(0.9), postmortems=spent), DEFAULT, NOW)
    assert (found.answer, [one.spent for one in found.postmortem]) == ("allow", [0.6, 0.201])
    assert found.postmortem[0].text == (
        "Alert 7 of checkout-works used 60 % of the budget at 2027-01-14 08:00 UTC, more than 20 %: hold a postmortem "
        "with a P0 action."
    )


shares = st.floats(-3, 1, allow_nan=False)
kinds = st.sampled_from(["deploy", "revision", "scale", "flag"])
allowances = st.builds(
    Allowance, st.lists(kinds, max_size=4).map(tuple), st.lists(st.sampled_from(["security", "p0"])).map(tuple)
)
policies = st.builds(
    BudgetPolicy,
    caution_below=st.integers(0, 10).map(lambda n: Fraction(n, 10)),
    frozen_below=st.integers(-5, 5).map(lambda n: Fraction(n, 10)),
    allows=st.fixed_dictionaries({"healthy": allowances, "caution": allowances, "frozen": allowances}),
    blind=st.sampled_from(["allow", "deny", "unknown"]),
)
questions = st.builds(
    Question, st.just("checkout"), kinds, reason=st.sampled_from(["normal", "security", "p0", "incident"])
)


@given(questions, policies, shares, shares, st.booleans(), st.booleans(), st.lists(shares, max_size=2))
def test_less_budget_never_turns_a_deny_into_an_allow(
    question: Question, policy: BudgetPolicy, a: float, b: float, seen: bool, provisional: bool, others: list[float]
) -> None:
    less, more = sorted((a, b))
    rest = [objective(left, f"other-{i}") for i, left in enumerate(others)]

    def answer(left: float) -> str:
        one = objective(left) if seen else blind(left - 0.1, left, left)
        one.provisional = provisional
        return gate(question, known(one, *rest), policy, NOW).answer

    if answer(less) == "allow":
        assert answer(more) == "allow"


@given(questions, policies, shares, shares)
def test_not_knowing_never_allows_what_the_whole_range_denies(
    question: Question, policy: BudgetPolicy, a: float, b: float
) -> None:
    worst, best = sorted((a, b))
    ends = {gate(question, known(objective(left)), policy, NOW).answer for left in (worst, best)}
    found = gate(question, known(blind(worst, best)), policy, NOW)
    if ends == {"deny"} and policy.blind != "allow":
        assert found.answer != "allow"
    if question.reason == "normal" and found.rules[0].rule == "budget_not_known" and found.answer != policy.blind:
        assert ends == {"allow"}
