"""Every setting says what differs with it: bounds, what it refuses, how it is previewed, which way is looser."""

from __future__ import annotations

from typing import get_type_hints

import pytest

from server.config.registry import SETTINGS, Limits, Setting
from server.config.revisions import Entry, limits
from server.kernel.errors import CODES
from server.live.refusals import BY_LIMIT

EACH = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)


@EACH
def test_a_setting_is_a_field_of_the_limits_with_the_type_of_its_default(setting: Setting) -> None:
    assert get_type_hints(Limits)[setting.name.lower()] is type(setting.default)
    assert setting.fault(setting.default) is None


@EACH
def test_a_value_in_force_reaches_the_limits(setting: Setting) -> None:
    other = not setting.default if setting.kind == "boolean" else setting.maximum
    found = limits((Entry(setting.name, other),), {})
    assert found.value(setting.name) == other
    assert all(found.value(name) == one.default for name, one in SETTINGS.items() if name != setting.name)


@EACH
def test_what_a_limit_refuses_is_known_and_makes_its_senders_partial(setting: Setting) -> None:
    if setting.refuses:
        assert setting.refuses in CODES
        assert setting.refuses in BY_LIMIT
    else:
        assert setting.kind == "boolean", "a number that refuses nothing has no effect that a page could show"
        assert setting.off_preview
        assert setting.off_effect


@EACH
def test_the_maximum_lets_more_in_than_the_minimum_and_no_limit_the_most(setting: Setting) -> None:
    low, high = (False, True) if setting.kind == "boolean" else (max(1, setting.minimum), setting.maximum)
    assert setting.lets_in(low) < setting.lets_in(high)
    if setting.shown(setting.minimum) == "no limit":
        assert setting.lets_in(setting.minimum) > setting.lets_in(high)


def test_no_throttle_is_shown_as_no_limit() -> None:
    throttle = SETTINGS["INGEST_MAX_ITEMS_PER_SECOND"]
    assert [throttle.shown(value) for value in (0, 50)] == ["no limit", "50"]
