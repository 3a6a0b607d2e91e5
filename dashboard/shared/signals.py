"""Signals as pages show them: how each stands now, and a link only where it is one."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from server.incidents.signalled import link_of
from server.parts import Parts
from server.signals.signal import Signal, SignalStanding

TOLD_APART = ("alertname", "severity")  # labels that a line says in its own words


class SignalShown(Struct):
    """One signal; `link` '' where it has none that can be followed."""

    signal: Signal
    standing: SignalStanding
    link: str

    @property
    def labels(self) -> str:
        """`instance=10.0.0.7:9100 job=node`."""
        told = sorted((name, value) for name, value in self.signal.labels.items() if value and name not in TOLD_APART)
        return " ".join(f"{name}={value}" for name, value in told)


def signals_shown(signals: Iterable[Signal], parts: Parts, now: float) -> list[SignalShown]:
    """Each as it stands at `now`, Unix seconds."""
    policy = parts.policies.budget_policy.signals
    return [SignalShown(one, one.standing(now, policy), link_of(one)) for one in signals]
