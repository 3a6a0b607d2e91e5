"""What the API answers about signals: the same, with times as RFC 3339 and how each stands now."""

from __future__ import annotations

from msgspec import Struct

from server.http.shown import answered, shows
from server.signals.signal import Signal, SignalStanding
from server.signals.store import SIGNALS
from server.slo.model.budget_policy import SignalPolicy


@shows(SIGNALS, but=("group_key", "state"))
class SignalAnswer(Struct):
    """One alert of another system. `link` is where that shows it, as it was told. `state` is firing, ended, absent (its
    group does not hold it any more, and nobody said that it ended) or not heard of (since `heard_at`)."""

    state: SignalStanding


def signal_answer(one: Signal, now: float, policy: SignalPolicy) -> SignalAnswer:
    """One signal as it stands at `now`, Unix seconds."""
    return answered(one, SignalAnswer, state=one.standing(now, policy))
