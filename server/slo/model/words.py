"""How an objective stands, in the words of pages and of the command line."""

from __future__ import annotations

from server.kernel.text import percent

NO_TRAFFIC, RECOUNTED, TOO_LITTLE, OVERSPENT = "no traffic", "being recounted", "too little traffic", "overspent"
STATE_WORDS = {
    "burning": "Burning",
    "blind": "Blind",
    "partial": "Partial",
    "recovering": "Recovering",
    "at_risk": "At risk",
    "ok": "OK",
    "no_traffic": "No traffic",
    "no_objective": "No objective",
}


def budget(left: float | None, worst: float | None = None, best: float | None = None) -> str:
    """Budget left: `31 %`, a range `12-31 %` while it is not known exactly; overspent `-54 %`, `-3,700 %`."""
    if worst is not None and best is not None and percent(worst) != percent(best):
        return f"{percent(worst).removesuffix(' %')}{'-' if worst >= 0 else ' to '}{percent(best)}"
    return percent(left)


def too_little(left: float | None, *, judged: bool) -> bool:
    """Whether what is left is of too little traffic to be judged: then no share of it is told, small or large."""
    return not judged and left is not None
