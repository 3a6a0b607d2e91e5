"""How the gate says answers, kinds and times in a sentence."""

from __future__ import annotations

from server.slo.model.budget_policy import Answer, BudgetState

WORDS: dict[Answer, str] = {"allow": "Allowed", "deny": "Denied", "unknown": "Not known"}
NOUNS = {"deploy": "deploys", "revision": "revisions", "scale": "scaling", "flag": "flags"}


def cautious(answer: Answer, state: BudgetState | None) -> bool:
    """Whether it is allowed although the budget is low."""
    return answer == "allow" and state in ("caution", "frozen")


def verdict(answer: Answer, state: BudgetState | None) -> str:
    """`Allowed`, or `Allowed, with caution`."""
    return WORDS[answer] + (", with caution" if cautious(answer, state) else "")
