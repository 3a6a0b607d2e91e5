"""The scenarios: what each breaks, what undoes it, and what it sends meanwhile.

What is broken is the drill's own service. Limits are set for keys of the drill's own alone, which may send that
service and nothing else, and for a time: production cannot be refused by them, and they end by themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from server.drill import plan
from server.drill.plan import Item
from server.drill.site import DrillKey, DrillSite
from server.kernel.remote import NotAsked

MINUTES = 30  # for so long a limit stands where nobody takes it away
SLOW_MS = 300.0
THROTTLE = "INGEST_MAX_ITEMS_PER_SECOND"
BATCH = "INGEST_MAX_BATCH_ITEMS"


class Scenario(ABC):
    """One. `fault` and `awaits` are told to people; `over_ms` is set where slowness is what is looked for."""

    name: ClassVar[str]
    fault: ClassVar[str]
    awaits: ClassVar[str]
    cause_class: ClassVar[str]
    over_ms: ClassVar[float | None] = None
    keys: ClassVar[tuple[str, ...]] = ("sender",)

    def __init__(self, site: DrillSite, began: float) -> None:
        self.site = site
        self.service = plan.service_of(self.name)
        self.old, self.new = plan.versions(began)
        self.failing = False
        self.made: dict[str, DrillKey] = {}

    def begin(self) -> None:
        """Make the keys."""
        for which in self.keys:
            self.made[which] = self.site.make_key(f"DRILL {self.name} {which}", self.service)

    @abstractmethod
    def send(self, start: float, seconds: int) -> None:
        """Send what the service did in these seconds, Unix seconds."""

    @property
    @abstractmethod
    def cause(self) -> dict[str, str]:
        """The values of which a suspect has to name one."""

    def inject(self) -> None:
        """Let the fault begin."""
        self.failing = True

    @abstractmethod
    def remedy(self, incident: int) -> None:
        """What a commander does, as --auto does it."""

    @abstractmethod
    def remedied(self, room: dict[str, Any]) -> bool:
        """Whether it was done, by whomever; the service is then well again."""

    def undo(self) -> list[str]:
        """Take away what was set; a line for each that could not be."""
        wrong = []
        for which, key in self.made.items():
            try:
                self.site.revoke(key.id)
            except NotAsked as error:
                wrong.append(f"The key DRILL {self.name} {which} ({key.id}) was not revoked: {error}")
        return wrong

    def well(self, start: float, seconds: int) -> list[Item]:
        """What the service did while nothing was wrong."""
        return list(plan.requests(self.service, self.old, start, seconds))

    def sends(self, items: list[Item], which: str = "sender") -> str:
        """Send outcomes by one of the keys; the code of the refusal, '' where they were taken."""
        return self.site.send(self.made[which], items)


class BadDeploy(Scenario):
    """A new version fails; it goes back."""

    name = "bad-deploy"
    fault = "a new version takes half of the requests, and 30 % of those fail"
    awaits = "roll the deploy back in the room, and mark it done"
    cause_class = "deploy"

    @property
    def cause(self) -> dict[str, str]:
        return {"version": self.new}

    def begin(self) -> None:
        super().begin()
        self.deploy(self.old)

    def deploy(self, version: str) -> None:
        for state in ("started", "finished"):
            told = {"service": self.service, "version": version, "kind": "deploy", "state": state, "migration": "none"}
            self.site.want("POST", "/api/v1/changes", told | {"summary": "DRILL"})

    def inject(self) -> None:
        self.deploy(self.new)
        super().inject()

    def send(self, start: float, seconds: int) -> None:
        items = plan.requests(self.service, self.old, start, seconds)
        self.sends(list(plan.bad_deploy(items, self.new) if self.failing else items))

    def remedy(self, incident: int) -> None:
        self.site.act(
            incident, "roll_back_deploy", service=self.service, version=self.old, rolls_back=self.new, armed=True
        )
        for one in self.site.room(incident)["deploys"]:
            if one["state"] == "by_hand":
                self.site.act(incident, "deploy_done", deploy=one["id"])

    def remedied(self, room: dict[str, Any]) -> bool:
        back = [one for one in room["deploys"] if one["act"] == "roll_back" and one["rolls_back"] == self.new]
        return any(one["state"] == "done" for one in back)


class ByCommander(Scenario):
    """What is mended outside Evenkeel: it is once the incident is being mitigated."""

    step: ClassVar[str]  # of the runbook, where it has it

    def remedy(self, incident: int) -> None:
        steps = self.site.want("GET", f"/api/v1/incidents/{incident}/steps")["steps"]
        if any(one["id"] == self.step and not one["verify"] for one in steps):
            self.site.act(incident, "step", step=self.step, to="done")

    def remedied(self, room: dict[str, Any]) -> bool:
        return room["incident"]["mitigated_at"] is not None


class SlowDependency(ByCommander):
    """A dependency is slow; the service degrades and does without it."""

    name = "slow-dependency"
    fault = "every call of the dependency payments takes 0.9 s; it may take 0.3 s"
    awaits = "degrade, which is done once the room says Mitigating"
    cause_class = "dependency"
    over_ms = SLOW_MS
    step = "degrade"

    @property
    def cause(self) -> dict[str, str]:
        return {"dependency": "payments"}

    def send(self, start: float, seconds: int) -> None:
        items = plan.requests(self.service, self.old, start, seconds)
        self.sends(list(plan.dependent(items, slow=self.failing)))


class TotalOutage(ByCommander):
    """Everything fails until it is recovered."""

    name = "total-outage"
    fault = "every request fails, for want of the dependency database"
    awaits = "recover, which is done once the room says Mitigating"
    cause_class = "dependency"
    step = "apply-fix"

    @property
    def cause(self) -> dict[str, str]:
        return {"dependency": "database"}

    def send(self, start: float, seconds: int) -> None:
        items = plan.requests(self.service, self.old, start, seconds)
        self.sends(list(plan.outage(items) if self.failing else items))


class IngestSurge(Scenario):
    """One key sends several times as much as all others; it is throttled, and gives up at its first refusal."""

    name = "ingest-surge"
    fault = "one client, with a key of its own, asks 200 times a second, and 60 % of that fails"
    awaits = f"throttle the key DRILL ingest-surge surge on the page Changes: {THROTTLE} of at most 20"
    cause_class = "capacity"
    keys = ("sender", "surge")
    limit = 10

    @property
    def cause(self) -> dict[str, str]:
        return {"client": "crawler", "key": "DRILL ingest-surge surge"}

    def begin(self) -> None:
        super().begin()
        self.refused = False

    def send(self, start: float, seconds: int) -> None:
        self.sends(self.well(start, seconds))
        if self.failing and not self.refused:
            items = list(plan.surge(self.service, self.old, start, seconds))
            for first in range(0, len(items), plan.SURGE_PER_SECOND):
                code = self.sends(items[first : first + plan.SURGE_PER_SECOND], "surge")
                self.refused = self.refused or code == "THROTTLED"

    def remedy(self, incident: int) -> None:
        reason = f"DRILL: throttle the key that surges, incident {incident}"
        self.site.limit(self.made["surge"], THROTTLE, self.limit, MINUTES, reason)

    def remedied(self, room: dict[str, Any]) -> bool:
        return self.refused

    def undo(self) -> list[str]:
        return taken_away(self.site, self.made.get("surge"), THROTTLE) + super().undo()


class BadRevision(Scenario):
    """A revision of the settings refuses the batches of one key; it is rolled back."""

    name = "bad-revision"
    fault = f"{BATCH} = 1 for one key of the drill's own, whose imports have 4 items: each is refused"
    awaits = "roll the settings back, on the page Changes or on the incident's card"
    cause_class = "config"
    keys = ("sender", "importer")
    revision = 0
    taken = False  # the last import

    @property
    def cause(self) -> dict[str, str]:
        return {"revision": str(self.revision)}

    def inject(self) -> None:
        reason = "DRILL bad-revision: too small on purpose, for a key of the drill's own"
        self.revision = self.site.limit(self.made["importer"], BATCH, 1, MINUTES, reason)
        self.taken = False
        super().inject()

    def send(self, start: float, seconds: int) -> None:
        items = self.well(start, seconds)
        for number in range(seconds * plan.IMPORTS_PER_SECOND):
            at = start + (number + 0.5) / plan.IMPORTS_PER_SECOND
            code = self.sends(list(plan.requests(self.service, self.old, at, 1, plan.IMPORT_ITEMS)), "importer")
            self.taken = not code
            items.append(plan.imported(self.service, self.old, at, code))
        self.sends(items)

    def remedy(self, incident: int) -> None:
        reason = f"DRILL bad-revision, incident {incident}"
        asked = {"from": self.revision, "reason": reason}
        if not self.site.ask("POST", "/api/v1/config/rollback", asked).ok:  # somebody has saved another one meanwhile
            self.site.limit(self.made["importer"], BATCH, None, None, reason)

    def remedied(self, room: dict[str, Any]) -> bool:
        return self.taken

    def undo(self) -> list[str]:
        return taken_away(self.site, self.made.get("importer"), BATCH) + super().undo()


def taken_away(site: DrillSite, key: DrillKey | None, name: str) -> list[str]:
    """Take a key's limit away, if it has one; says why where that was refused: it ends by itself."""
    if key is None:
        return []
    try:
        site.limit(key, name, None, None, "DRILL: over")
    except NotAsked as error:
        return [f"{name} of {key.scope} was not taken away, and ends by itself: {error}"]
    return []


SCENARIOS: dict[str, type[Scenario]] = {
    one.name: one for one in (BadDeploy, SlowDependency, IngestSurge, BadRevision, TotalOutage)
}
