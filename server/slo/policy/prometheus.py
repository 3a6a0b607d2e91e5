"""The objectives as Prometheus rules, over the counters that /metrics shows.

The form of The Site Reliability Workbook, chapter 5, section 6: the bad ratio over each
window as a recording rule, and an alert per tier that both its windows burn. No alert
has a `for`: the short window is what ends it.

Failures of the first minute of a service that has just begun to send wake nobody: its
windows hold no more than that minute, so they say nothing of an hour.

Every machine's scrape has the same counters, so the ratio is made per scrape and the
greatest taken: a machine that shows an old picture hides no failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any

import yaml

from server.slo.model.budget import HANDFUL
from server.slo.model.objective import Objective
from server.slo.model.tiers import Tier, span

EVENTS = "evenkeel_slo_events_total"  # as server/telemetry/metrics.py names it
RATIO = "evenkeel:slo_bad_ratio:rate"
BAD = "evenkeel:slo_bad:increase"
HEAD = "# Objectives of Evenkeel as Prometheus rules, over its own /metrics; made by `python -m server slo rules`.\n"
OBJECTIVES_KEPT = 4096


class Plain(yaml.CSafeDumper):
    """Writes every value out; there are no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def rules(objectives: Iterable[Objective]) -> str:
    """A rules file for Prometheus, one group an objective."""
    return "".join(pieces(objectives))


def pieces(objectives: Iterable[Objective]) -> Iterator[str]:
    """The same piece by piece, so that whoever has something else to do meanwhile can: each takes a millisecond."""
    several = list(objectives)
    yield HEAD + ("groups:\n" if several else "groups: []\n")
    yield from map(group, several)


@lru_cache(OBJECTIVES_KEPT)
def group(one: Objective) -> str:
    """The rules of one objective, kept: whoever asks again does not make them again."""
    made = {"name": f"evenkeel-slo-{one.name}", "rules": list(of_objective(one))}
    return str(yaml.dump([made], Dumper=Plain, sort_keys=False, width=1000))


def of_objective(one: Objective) -> Iterator[dict[str, Any]]:
    """The ratios that its tiers ask for, then an alert a tier; the label tells promtool that no two are the same."""
    labels = {"objective": one.name}
    for window_s in sorted({each for tier in one.tiers for each in (tier.long_s, tier.short_s)}):
        yield {"record": RATIO + span(window_s), "expr": ratio(one.name, span(window_s)), "labels": labels}
    for window_s in sorted({tier.long_s for tier in one.tiers}):
        yield {"record": BAD + span(window_s), "expr": bad(one.name, span(window_s)), "labels": labels}
    for tier in one.tiers:
        yield alert(one, tier)


def ratio(name: str, window: str) -> str:
    """The share of what was counted in a window that was bad."""
    failed = f'sum without (outcome) (rate({EVENTS}{{objective="{name}",outcome="bad"}}[{window}]))'
    counted = f'sum without (outcome) (rate({EVENTS}{{objective="{name}"}}[{window}]))'
    return f"max by (objective, service) ({failed} / {counted})"


def older(name: str, window: str) -> str:
    """Whether anything was counted in a window that ended a minute ago."""
    counted = f'sum without (outcome) (increase({EVENTS}{{objective="{name}"}}[{window}] offset 1m))'
    return f"max by (objective, service) ({counted}) > 0"


def bad(name: str, window: str) -> str:
    """How many were bad in a window."""
    return f'max by (objective, service) (increase({EVENTS}{{objective="{name}",outcome="bad"}}[{window}]))'


def alert(one: Objective, tier: Tier) -> dict[str, Any]:
    """Both windows burn, on at least a handful of failures in the long one."""
    at = f'{{objective="{one.name}"}}'
    burning = f"({decimal(tier.burn)} * {decimal(one.allowed)})"
    long, short = span(tier.long_s), span(tier.short_s)
    both = f"{RATIO}{long}{at} >= {burning} and {RATIO}{short}{at} >= {burning}"
    return {
        "alert": "EvenkeelObjectiveBurns",
        "expr": f"{both} and {BAD}{long}{at} >= {HANDFUL} and {older(one.name, long)}",
        "labels": {"objective": one.name, "severity": tier.urgency, "tier": tier.name},
        "annotations": {
            "summary": f"{{{{ $labels.objective }}}} of {{{{ $labels.service }}}} burns over {long} and {short}",
            "description": "{{ $value | humanizePercentage }} is bad; the objective allows "
            f"{float(one.allowed * 100):.10g}%, and this tier {float(tier.burn * one.allowed * 100):.10g}%.",
        },
    }


def decimal(value: Fraction) -> str:
    """A number as PromQL takes it."""
    return f"{float(value):.12g}"
