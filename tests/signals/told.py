"""Groups as Alertmanager tells them, for tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

WEBHOOKS = Path(__file__).parent / "webhooks"
NO_END = "0001-01-01T00:00:00Z"
START = 1_790_000_000.0


def alert(name: str = "HighErr", *, start: float = START, end: float | None = None, **labels: str) -> dict[str, Any]:
    """One alert, which fires unless it has an end; what tells it apart is its labels."""
    told = {"alertname": name, "service": "checkout", "severity": "page"} | labels
    return {
        "status": "firing" if end is None else "resolved",
        "labels": told,
        "annotations": {"summary": f"{name} is high"},
        "startsAt": rfc(start),
        "endsAt": NO_END if end is None else rfc(end),
        "generatorURL": "https://prometheus.example/graph",
        "fingerprint": ",".join(f"{key}={told[key]}" for key in sorted(told))[:64],
    }


def rfc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def group(*alerts: dict[str, Any], truncated: int = 0, key: str = '{}:{alertname="HighErr"}') -> dict[str, Any]:
    """A group as it is posted."""
    return {
        "receiver": "evenkeel",
        "status": "firing" if any(one["status"] == "firing" for one in alerts) else "resolved",
        "alerts": list(alerts),
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "version": "4",
        "groupKey": key,
        "truncatedAlerts": truncated,
    }


def recorded(name: str) -> list[dict[str, Any]]:
    """The bodies of one recording, in order."""
    return [one["body"] for one in json.loads((WEBHOOKS / f"{name}.json").read_text())["requests"]]


# What each recording says of the alerts with a label i (or version), in the order in which they began: the truth of its
# note as far as it was told. What fires here at the end was over without a word, or still fired.
TRUTH: dict[str, list[tuple[str, str]]] = {
    "e17-flap-in-wait": [("1", "firing")],
    "e17-gone-in-wait": [],
    "e17-refire-after-resolved-told": [("1", "ended"), ("1", "firing")],
    "e2-expire-12s": [("1", "firing")],
    "e2-expire-2s": [("1", "firing")],
    "e2-silenced-resolve-with-other": [("1", "absent"), ("2", "ended")],
    "e3-inhibited-resolve": [("1", "firing"), ("S", "ended")],
    "e4-SIGKILL-fires-on": [("1", "ended")],
    "e4-SIGKILL-resolved-while-down-silent": [("1", "firing")],
    "e4-SIGTERM-fires-on": [("1", "ended")],
    "e4-SIGTERM-resolved-while-down-posted": [("1", "ended")],
    "e4-SIGTERM-resolved-while-down-silent": [("1", "firing")],
    "e5-302": [("1", "ended")],
    "e5-307": [("1", "firing")],
    "e5-400": [("1", "firing")],
    "e5-429": [("1", "firing")],
    "e5-503": [("1", "firing")],
    "e5-close": [("1", "firing")],
    "e5-hang": [("1", "firing")],
    "label-changes": [("v1", "ended"), ("v2", "firing")],
    "prometheus-restart-annotation": [("", "firing")],
    "prometheus-restart-defaults": [("", "firing")],
    "truncated-at-once": [("1", "ended"), ("2", "ended")],
    "truncated-max-alerts-2": [(str(i), "ended") for i in range(1, 6)],
    "truncated-new-sorts-first": [("1", "ended"), ("5", "ended"), ("6", "absent")],
}


def standing(told: Iterable[tuple[dict[str, str], str, float]]) -> list[tuple[str, str]]:
    """Labels, state and start of signals as TRUTH writes them."""
    named = [(labels.get("i", labels.get("version", "")), state, start) for labels, state, start in told]
    return [(name, state) for name, state, start in sorted(named, key=lambda one: (one[0], one[2]))]
