"""What somebody asks for, checked before anything is locked or stored."""

from __future__ import annotations

from collections.abc import Mapping

from server.config.registry import SETTINGS, Value
from server.kernel.errors import ApiError, invalid

MINUTES_MAX = 7 * 24 * 60


def checked_values(values: Mapping[str, Value | None], minutes: int | None) -> None:
    """ApiError INVALID naming every value that is wrong, with its bounds."""
    if not values:
        raise invalid("values", f"name at least one of {', '.join(SETTINGS)}")
    faults = [(name, fault) for name, value in values.items() if (fault := fault_of(name, value, minutes))]
    if not faults:
        return
    errors = [error(name, fault) for name, fault in faults]
    told = "; ".join(f"{name[:60]}: {fault}" for name, fault in faults)
    raise ApiError("INVALID", f"{told}. Nothing was saved.", errors=errors)


def fault_of(name: str, value: Value | None, minutes: int | None) -> str | None:
    """What is wrong with one value; null takes the scope's own value away and cannot be temporary."""
    if name not in SETTINGS:
        return f"is not a setting; settings are {', '.join(SETTINGS)}"
    if value is None:
        return None if minutes is None else "null cannot be temporary; leave out `minutes`"
    return SETTINGS[name].fault(value)


def error(name: str, fault: str) -> dict[str, object]:
    """One member of `errors`, with the bounds where the setting has them."""
    found: dict[str, object] = {"field": f"values.{name}", "reason": fault}
    setting = SETTINGS.get(name)
    if setting is not None and setting.kind == "integer":
        found |= {"minimum": setting.minimum, "maximum": setting.maximum}
    return found


def checked_minutes(minutes: int | None) -> None:
    """ApiError INVALID for what is not from 1 minute to a week."""
    if minutes is not None and not 1 <= minutes <= MINUTES_MAX:
        raise invalid("minutes", f"give a whole number from 1 to {MINUTES_MAX}, or leave it out to keep the value")
