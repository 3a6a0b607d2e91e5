"""What a staged revision is judged by, from the picture."""

from __future__ import annotations

from server.picture.objectives_now import objectives_now
from server.picture.picture import Picture
from server.slo.model.status import BurnWindow, Status
from tests.config.machine import objective
from tests.gate.making import alert


def test_what_burns_is_told_with_its_rate_and_a_firing_alert_counts_too() -> None:
    fast = objective("shop-works", "burning", 3.0)
    fast.windows = [BurnWindow(300, 9, 10, 412.3), BurnWindow(3600, 9, 10, 20.0)]
    fast.decided_by, fast.onset = [3600, 300], 40.0
    status = Status(1, 100.0, [fast, objective("cart-works"), objective("pay-works", "blind")], {})
    alerts = [alert(objective="cart-works"), alert("resolving", objective="pay-works")]
    picture = Picture(1, 100.5, 1, "h/watch", [], [], 1, None, status, alerts)
    found = objectives_now(picture, 1.0)
    assert (found.age_s, found.count) == (1.5, 3)
    assert found.burning == {"shop-works": "shop-works burns 412x", "cart-works": "the alert of cart-works fires"}
    assert found.onsets == {"shop-works": 40.0, "cart-works": alerts[0].onset}
    assert found.unsure == {"pay-works": "pay is blind"}


def test_before_the_first_evaluation_nothing_is_known() -> None:
    assert objectives_now(None, None).age_s is None
    assert objectives_now(Picture(1, 100.5, 1, "h/watch", [], [], 1, None), 1.0).age_s is None
