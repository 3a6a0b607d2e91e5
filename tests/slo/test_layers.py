"""The rooms of slo build on one another: model, policy, ledger, judge, api; none imports one above it."""

from __future__ import annotations

from tests.test_architecture import FILES, imports, module_of, name_of

ROOMS = ("model", "policy", "ledger", "judge", "api")


def room_of(module: str) -> int | None:
    """The place of a module's room, from the bottom; None outside of them."""
    parts = module.split(".")
    return ROOMS.index(parts[2]) if parts[:2] == ["server", "slo"] and parts[2:] and parts[2] in ROOMS else None


def test_no_room_imports_one_above_it() -> None:
    seen: set[int] = set()
    for path in FILES:
        mine = room_of(module_of(path))
        if mine is None:
            continue
        seen.add(mine)
        above = [module for module in imports(path, typing=True) if (room_of(module) or 0) > mine]
        assert not above, f"{name_of(path)} imports {above}"
    assert seen == set(range(len(ROOMS)))
