"""What a rollback would change, said before it is done."""

from __future__ import annotations

from msgspec import Struct, field

from server.config.resolve import Difference, Lens, differences
from server.config.revisions import Revision, unexpired


class Offer(Struct):
    """A rollback that can be asked for as it stands: POST /api/v1/config/rollback with `from` and `to`."""

    from_: int = field(name="from")
    to: int
    undo: bool  # whether it undoes a rollback
    label: str  # Roll back to 13: batch items 100 -> 1000
    differences: list[Difference]


def offer(current: Revision, target: Revision, lens: Lens) -> Offer | None:
    """Going back from the revision in force; None where it would change nothing."""
    found = differences(current.entries, unexpired(target.entries, lens.now), lens)
    if not found:
        return None
    undo = current.kind == "rollback" and target.number == current.number - 1
    shown = f"{target.number} (= {target.restores})" if target.kind == "rollback" else str(target.number)
    values = ", ".join(one.text for one in found)
    label = f"Undo: {values}, back to {shown}" if undo else f"Roll back to {shown}: {values}"
    return Offer(current.number, target.number, undo, label, found)
