"""The burn tiers that alert policies write down.

One AlertPolicy is one tier. It has one condition, as OpenSLO says, and the short window
is a twelfth of its lookbackWindow, as The Site Reliability Workbook advises (chapter 5,
section 6); or two conditions, of which the one with the longer lookbackWindow is the long
window. Several alert policies are several tiers. A burn rate is taken as it is written,
not scaled to the objective's window.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from decimal import Decimal
from fractions import Fraction

from server.slo.model.tiers import Tier, Urgency, arithmetic, can_fire, span
from server.slo.policy.openslo import (
    REFUSED_KINDS,
    AlertCondition,
    AlertPolicy,
    ConditionItem,
    ConditionSpec,
    PolicyItem,
    PolicySpec,
)
from server.slo.policy.values import Faults, ValueFault, number

MINUTE_S = 60
MIN_S, MAX_S = MINUTE_S, 7 * 86_400
TWELFTH = 12
UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
MAX_BURN = Decimal(10_000_000)  # of the strictest target that can be written
URGENCIES: dict[str, Urgency] = {"page": "page", "ticket": "ticket"}

Reference = tuple[str, str]  # kind and name
Located = tuple[str, ConditionSpec]  # where it stands, or where it is asked for, and what it says


class AlertDocuments:
    """The AlertPolicy and AlertCondition documents of a file, by name."""

    def __init__(self, broken: Set[Reference]) -> None:
        self.broken = broken  # documents with a fault of their own, reported there
        self.policies: dict[str, AlertPolicy] = {}
        self.conditions: dict[str, AlertCondition] = {}
        self.used: set[Reference] = set()

    def tiers(self, items: Sequence[str | PolicyItem], allowed: Fraction) -> tuple[Tier, ...]:
        """The tiers of an objective, the most urgent first; each can fire."""
        found: list[Tier] = []
        for index, item in enumerate(items):
            at = f"$.spec.alertPolicies[{index}]"
            tier = self.asked(item, at)
            if not can_fire(tier, allowed):
                raise ValueFault(at, arithmetic(tier, allowed))
            if any((tier.long_s, tier.short_s) == (one.long_s, one.short_s) for one in found):
                raise ValueFault(at, f"is a second tier over {tier.name}")
            found.append(tier)
        return tuple(sorted(found, key=lambda tier: (tier.urgency != "page", -tier.burn, tier.long_s)))

    def asked(self, item: str | PolicyItem, at: str) -> Tier:
        """The tier of a policy by its name or in place."""
        name = item if isinstance(item, str) else item.alert_policy_ref
        spec = None if isinstance(item, str) else item.spec
        if (name is None) == (spec is None):
            raise ValueFault(at, "give the name of an AlertPolicy, or one in place with kind, metadata and spec")
        if spec is not None:
            return self.tier(spec, f"{at}.spec")
        self.used.add(("AlertPolicy", name or ""))
        policy = self.policies.get(name or "")
        if policy is None and ("AlertPolicy", name or "") in self.broken:
            raise Faults
        if policy is None:
            raise ValueFault(at, f"there is no AlertPolicy document of the name {name}")
        try:
            return self.tier(policy.spec, "$.spec")
        except (ValueFault, Faults):  # reported in the document of the policy
            raise Faults from None

    def tier(self, spec: PolicySpec, at: str) -> Tier:
        """The tier of an alert policy."""
        for field, given, wanted, why in switches(spec):
            if given != wanted:
                raise ValueFault(f"{at}.{field}", why)
        for index, target in enumerate(spec.notification_targets):
            if target.target_ref is None:
                raise ValueFault(f"{at}.notificationTargets[{index}]", REFUSED_KINDS["AlertNotificationTarget"])
        found = [self.condition(item, f"{at}.conditions[{index}]") for index, item in enumerate(spec.conditions)]
        return tier_of_two(found[0], found[1], f"{at}.conditions") if len(found) > 1 else tier_of_one(found[0])

    def condition(self, item: ConditionItem, at: str) -> Located:
        """A condition by its name or in place."""
        if (item.condition_ref is None) == (item.spec is None):
            raise ValueFault(at, "give conditionRef, or a condition in place with kind, metadata and spec")
        if item.spec is not None:
            return f"{at}.spec", item.spec
        self.used.add(("AlertCondition", item.condition_ref or ""))
        found = self.conditions.get(item.condition_ref or "")
        if found is None and ("AlertCondition", item.condition_ref or "") in self.broken:
            raise Faults
        if found is None:
            raise ValueFault(
                f"{at}.conditionRef", f"there is no AlertCondition document of the name {item.condition_ref}"
            )
        return at, found.spec


def switches(spec: PolicySpec) -> tuple[tuple[str, bool, bool, str], ...]:
    """OpenSLO's switches that have one position here, and why."""
    return (
        ("alertWhenBreaching", spec.alert_when_breaching, True, "is what an alert is; write true or leave it out"),
        ("alertWhenResolved", spec.alert_when_resolved, True, "the end is always told; write true or leave it out"),
        ("alertWhenNoData", spec.alert_when_no_data, False, "blind is a state of its own; write false or leave it out"),
    )


def tier_of_one(only: Located) -> Tier:
    """One condition as a tier: its short window is a twelfth, in whole minutes; ValueFault where that is no shorter."""
    long_s, burn, urgency = window(*only)
    short_s = -(-long_s // TWELFTH // MINUTE_S) * MINUTE_S
    if short_s >= long_s:
        path = f"{only[0]}.condition.lookbackWindow"
        raise ValueFault(path, f"is {span(long_s)}; give at least 2m: its short window is a twelfth, in whole minutes")
    return Tier(burn, long_s, short_s, urgency)


def tier_of_two(first: Located, second: Located, at: str) -> Tier:
    """Two conditions as one tier; Fault where they differ in anything but the window."""
    (long_s, long_burn, urgency), (short_s, short_burn, other) = sorted(
        (window(*first), window(*second)), key=lambda one: -one[0]
    )
    if long_s == short_s:
        raise ValueFault(at, f"both look back {span(long_s)}; one window is long, the other short")
    if long_burn != short_burn:
        raise ValueFault(
            at, f"the thresholds are {float(long_burn):g} and {float(short_burn):g}; they must be the same"
        )
    if urgency != other:
        raise ValueFault(at, f"the severities are {urgency} and {other}; they must be the same")
    return Tier(long_burn, long_s, short_s, urgency)


def window(at: str, spec: ConditionSpec) -> tuple[int, Fraction, Urgency]:
    """Seconds, burn rate and urgency of one condition."""
    burn = spec.condition
    if spec.severity not in URGENCIES:
        raise ValueFault(f"{at}.severity", f"is {spec.severity!r}; give page, which wakes somebody, or ticket")
    if burn.op != "gte":
        raise ValueFault(f"{at}.condition.op", f"is {burn.op!r}; a window burns at its threshold or faster: write gte")
    if not re.fullmatch(r"0[smhd]", burn.alert_after):
        raise ValueFault(f"{at}.condition.alertAfter", "the short window does that; write 0m or leave it out")
    threshold = number(burn.threshold, Decimal(1), MAX_BURN, f"{at}.condition.threshold")
    return duration(burn.lookback_window, f"{at}.condition.lookbackWindow"), threshold, URGENCIES[spec.severity]


def duration(text: str, path: str) -> int:
    """A window in seconds, from `5m`, `1h`, `3d` or `1w`."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", text, re.ASCII)
    found = int(match[1]) * UNITS[match[2]] if match else 0
    if not MIN_S <= found <= MAX_S:
        raise ValueFault(path, f"is {text!r}; give whole minutes, hours or days, such as 5m, 1h or 3d, from 1m to 7d")
    return found
