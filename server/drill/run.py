"""One drill from calm traffic to the verified end: what is sent is real, and what is measured is what a caller sees.

Nothing in the service is told what is wrong. Detection, suspects, the incident and its proof are those of production.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from server.drill.scenarios import Scenario
from server.drill.site import TakenOver
from server.kernel import shared_clock
from server.kernel.remote import NotAsked
from server.kernel.text import span

T = TypeVar("T")

CALM_S = 75  # what is compared with is at least a minute
DETECT_S, SUSPECT_S, MITIGATE_S, RECOVER_S = 120, 120, 60, 900
COMMANDER_S = 3600  # for which a person is waited for
REMIND_S = 30


class DrillClock(Protocol):
    """What passes time. `step_s` is how many seconds are sent at once."""

    step_s: int

    def now(self) -> float:
        """Unix seconds."""

    def until(self, at: float) -> None:
        """Wait until then."""


class RealClock:
    """The machine's."""

    step_s = 1

    def now(self) -> float:
        return shared_clock.now()

    def until(self, at: float) -> None:
        time.sleep(max(0.0, at - shared_clock.now()))


@dataclass(slots=True)
class DrillTimes:
    """Seconds from the fault until each; None: it did not come to that. `wrong` says why the drill was not passed."""

    detect: float | None = None
    suspect: float | None = None
    mitigate: float | None = None
    recover: float | None = None
    wrong: str = ""
    incident: int | None = None

    def lines(self) -> list[str]:
        """The four times, a line each."""
        named = {
            "detect": self.detect,
            "suspect": self.suspect,
            "mitigate": self.mitigate,
            "verified recovery": self.recover,
        }
        return [f"time to {name + ':':<19}{'-' if at is None else span(at)}" for name, at in named.items()]


class Stop(Exception):
    """The drill was not passed; the text says why."""


class Drill:
    """One run of a scenario. `auto`: it acts itself; else it waits for a commander to act in the room."""

    def __init__(self, scenario: Scenario, clock: DrillClock, tell: Callable[[str], None], *, auto: bool) -> None:
        self.scenario = scenario
        self.site = scenario.site
        self.clock = clock
        self.tell = tell
        self.auto = auto
        self.at = float(int(clock.now()))  # up to when everything was sent
        self.injected = 0.0
        self.measured = DrillTimes()
        self.waits_for = ""  # said again and again while it does
        self.taken_over = False

    def run(self) -> DrillTimes:
        """Drill, and leave nothing behind. NotAsked where it could not begin or go on."""
        self.check_free()
        try:
            self.scenario.begin()
            self.course()
        except Stop as stop:
            self.measured.wrong = str(stop)
        except (KeyboardInterrupt, NotAsked) as error:
            self.measured.wrong = str(error) or "it was stopped by hand"
            self.taken_over = isinstance(error, TakenOver)
            raise
        finally:
            self.end()
        return self.measured

    def check_free(self) -> None:
        """NotAsked while production has an incident, or this scenario one that is open."""
        for one in self.site.incidents():
            if not one["drill"]:
                raise NotAsked(f"Incident {one['id']} of production is open ({one['title']}): drill when it is over.")
            if one["service"] == self.scenario.service:
                raise NotAsked(f"Incident {one['id']} of this drill is still open: resolve and close it first.")

    def course(self) -> None:
        """Calm, the fault, what is made of it, and the end."""
        self.say(f"calm traffic for {CALM_S} s")
        self.pass_(CALM_S)
        self.scenario.inject()
        self.injected = self.at
        self.say(f"fault: {self.scenario.fault}")
        room = self.detected()
        self.suspected(room)
        self.mitigated(room["incident"]["id"])
        self.recovered(room["incident"]["id"])

    def detected(self) -> dict[str, Any]:
        """The room of its incident."""
        self.waits_for = "not detected yet"
        found = self.wait(lambda: self.site.incidents(self.scenario.service) or None, DETECT_S, "it was not detected")
        incident = self.measured.incident = found[0]["id"]
        self.measured.detect = self.passed()
        self.say(f"detected after {span(self.passed())}: SEV-{found[0]['severity']} {found[0]['title']}")
        self.say(f"room: {self.site.url}/incidents/{incident}")
        room = self.site.room(incident)
        if self.auto:
            self.site.act(incident, "accept", command=True)
            self.acknowledge(room)
        return room

    def acknowledge(self, room: dict[str, Any]) -> None:
        """Acknowledge its alerts, so that nobody further is told of them."""
        for alert in room["alerts"]:
            if alert["state"] != "resolved" and alert["acknowledged_at"] is None:
                self.site.want("POST", f"/api/v1/alerts/{alert['id']}/acknowledge")

    def suspected(self, room: dict[str, Any]) -> None:
        """Wait until what was broken is named first, or with the first."""
        self.waits_for, named = "the cause is not named yet", list[dict[str, Any]]()

        def look() -> dict[str, Any] | None:
            onset, service = room["incident"]["onset"], self.scenario.service
            named[:] = [one for one in self.site.suspects(service, onset, self.scenario.over_ms) if one["close"]]
            return next((one for one in named if names(one["values"], self.scenario.cause)), None)

        try:
            found = self.wait(look, SUSPECT_S, "")
        except Stop:
            said = "; ".join(in_words(one["values"]) for one in named) or "nothing"
            raise Stop(f"the suspect named is {said}; it is {in_words(self.scenario.cause)}") from None
        self.measured.suspect = self.passed()
        self.say(f"suspect after {span(self.passed())}: {in_words(found['values'])}, {found['share']:.0%} of it")

    def mitigated(self, incident: int) -> None:
        """Carry out the remedy, or wait for it; then the service is well."""
        self.waits_for = "the remedy has no effect yet"
        if self.auto:
            self.scenario.remedy(incident)
            if self.site.room(incident)["incident"]["state"] != "mitigating":  # a roll back has begun it
                self.site.act(incident, "move", to="mitigating")
        else:
            self.waits_for = f"waits for the commander: {self.scenario.awaits}"
            self.say(self.waits_for)
        most, why = (MITIGATE_S, "the remedy had no effect") if self.auto else (COMMANDER_S, "nobody acted in an hour")
        self.wait(lambda: self.scenario.remedied(self.site.room(incident)) or None, most, why)
        self.scenario.failing = False
        self.measured.mitigate = self.passed()
        self.say(f"mitigated after {span(self.passed())}")

    def recovered(self, incident: int) -> None:
        """Wait until live data proves the end."""

        def proven() -> bool | None:
            room = self.site.room(incident)
            self.waits_for = room["proof"]["text"]
            return room["proof"]["waits"] == "nothing" or None

        self.wait(proven, RECOVER_S, "the recovery was not proven")
        self.measured.recover = self.passed()
        self.say(f"recovery verified after {span(self.passed())}")

    def end(self) -> None:
        """Take away what was set, and close the incident with the truth: proven, or why not."""
        for line in self.scenario.undo():
            self.say(line)
        if self.taken_over:
            return
        try:
            self.close()
        except NotAsked as error:
            self.say(f"incident {self.measured.incident} was left as it is: {error}")

    def close(self) -> None:
        """Resolve and close its incident, also one that came when nobody waited for it any more."""
        known = self.measured.incident
        for incident in [known] if known else [one["id"] for one in self.site.incidents(self.scenario.service)]:
            room = self.site.room(incident)
            state = room["incident"]["state"]
            self.acknowledge(room)
            if state not in ("resolved", "closed"):
                why = self.measured.wrong or ("" if self.measured.recover is not None else "the drill has ended")
                self.site.act(incident, "resolve", reason=f"DRILL: {why}" if why else "")
            if state != "closed":
                cause = f"DRILL {self.scenario.name}: {self.scenario.fault}."
                self.site.act(incident, "report", root_cause=cause, cause_class=self.scenario.cause_class)
                self.say(f"incident {incident}: {self.site.act(incident, 'close')}")

    def wait(self, look: Callable[[], T | None], most_s: float, why: str) -> T:
        """Go on sending until there is something; Stop with `why` where there is nothing after so long."""
        start = reminded = self.at
        while (found := look()) is None:
            if self.at - start >= most_s:
                raise Stop(f"{why} within {span(most_s)}")
            self.pass_(self.clock.step_s)
            if self.at - reminded >= REMIND_S:
                reminded = self.at
                self.say(self.waits_for)
        return found

    def pass_(self, seconds: int) -> None:
        """Let time pass, and send what the service did in it."""
        for _ in range(0, seconds, self.clock.step_s):
            start, self.at = self.at, self.at + self.clock.step_s
            self.clock.until(self.at)
            self.scenario.send(start, self.clock.step_s)

    def passed(self) -> float:
        """Seconds since the fault."""
        return max(0.0, self.clock.now() - self.injected)

    def say(self, text: str) -> None:
        """One line of what goes on, with the time of the machine."""
        self.tell(f"{time.strftime('%H:%M:%S', time.gmtime(self.clock.now()))}  {text}")


def names(values: dict[str, str], cause: dict[str, str]) -> bool:
    """Whether a suspect has one of the values that were broken."""
    return any(values.get(field) == value for field, value in cause.items())


def in_words(values: dict[str, str]) -> str:
    """`version 2.1130.0128, route POST /orders`."""
    return ", ".join(f"{field} {value}" for field, value in values.items())
