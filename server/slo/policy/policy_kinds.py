"""From a YAML document to its type, by kind; what is refused is named with its field."""

from __future__ import annotations

import msgspec

from server.slo.policy.budget_document import ErrorBudgetPolicy
from server.slo.policy.marked_yaml import Document
from server.slo.policy.measures import Fault, Faults
from server.slo.policy.openslo import SLI, SLO, Service
from server.slo.policy.openslo_alerts import AlertCondition, AlertPolicy
from server.slo.policy.policy_faults import faults

Typed = Service | SLI | SLO | AlertPolicy | AlertCondition | ErrorBudgetPolicy

# Kinds of OpenSLO that Evenkeel does not do, and what to do instead.
REFUSED_KINDS: dict[str, str] = {
    "AlertNotificationTarget": "who is told, and where, stands in Setup, so that no secret is here; leave it out",
    "DataSource": "Evenkeel is its own source; leave it out",
}


def convert(document: Document) -> Typed:
    """A document as its type; Faults with all that does not fit."""
    kind = document.value.get("kind") if isinstance(document.value, dict) else None
    if isinstance(kind, str) and kind in REFUSED_KINDS:
        raise Fault("$.kind", REFUSED_KINDS[kind])
    found = faults(document.value, Typed, "$")
    if found:
        raise Faults(found)
    typed: Typed = msgspec.convert(document.value, Typed)
    return typed
