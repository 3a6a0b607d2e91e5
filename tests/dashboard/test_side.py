"""Evenkeel's own panel: who is missing, and what happened while nobody looked."""

from __future__ import annotations

import time

import pytest

from dashboard.now.side import happened, own
from server.picture.picture import Gap, Picture, ProcessPicture, Restart
from server.selfcheck.degrade import BY_NAME, Degraded

NOW = time.time()


def process(name: str, host: str = "box", silent_s: float = 0.4) -> ProcessPicture:
    return ProcessPicture(1, name.partition(".")[0], name, host, NOW - 60, silent_s, 1, None, 0, 0.0, 0)


def picture(*processes: ProcessPicture, restarts: list[Restart] | None = None, gap: Gap | None = None) -> Picture:
    shown = list(processes) or [process("web.1"), process("watch.1")]
    return Picture(1, NOW, 1, "box/watch.1", [], shown, 1, None, restarts=restarts or [], gap=gap)


def lines_of(shown: Picture) -> list[str]:
    return [f"{one.what} … {one.how}".replace("\N{NO-BREAK SPACE}", " ") for one in happened(shown, NOW)]


def test_nothing_happened() -> None:
    assert lines_of(picture()) == []
    assert lines_of(picture(gap=Gap(NOW - 5, 1.4))) == [], "an orderly hand-over"
    assert lines_of(picture(gap=Gap(NOW - 1000, 60))) == [], "long ago"


def test_a_web_process_that_ended_without_a_stop_is_told_of() -> None:
    restarts = [Restart("web", "web.1", "box", 1, NOW - 40), Restart("web", "web.2", "box", 3, NOW - 90)]
    assert lines_of(picture(restarts=restarts)) == [
        "web.1 was restarted … it ended without a stop",
        "web.2 was restarted 3 times, lastly … it ended without a stop",
    ]
    assert happened(picture(restarts=restarts), NOW)[0].at == NOW - 40
    other = picture(process("web.1"), process("web.1", "other"), restarts=restarts[:1])
    assert lines_of(other) == ["web.1 on box was restarted … it ended without a stop"]


@pytest.mark.parametrize(
    ("restarts", "lines"),
    [
        ([Restart("watch", "watch.1", "box", 1, NOW - 12)], ["Watch restarted … alerts were not evaluated for 4 s"]),
        ([], ["Watch took over … alerts were not evaluated for 4 s"]),
    ],
)
def test_the_time_without_a_watch_is_told(restarts: list[Restart], lines: list[str]) -> None:
    assert lines_of(picture(restarts=restarts, gap=Gap(NOW - 12, 4.2))) == lines


def test_a_watch_of_which_no_gap_is_known_is_told_as_any_process() -> None:
    restarts = [Restart("watch", "watch.1", "box", 1, NOW - 12)]
    assert lines_of(picture(restarts=restarts)) == ["watch.1 was restarted … it ended without a stop"]


def test_who_is_silent_is_a_trouble() -> None:
    shown = own(picture(process("web.1"), process("web.2", silent_s=12.3)), [])
    assert shown.troubles == ["web.2 on box silent for 12 s"]
    assert "1 web process" in shown.fine


def test_what_is_lost_is_not_called_fine() -> None:
    shown = picture()
    shown.redis = True
    assert own(shown, []).well == "Database, watch, Redis, 1 web process OK"
    lost = [Degraded(BY_NAME[name], {"since": "02:14:07 UTC"}) for name in ("database_slow", "redis_full")]
    found = own(shown, [], lost)
    assert (found.well, found.troubles) == (
        "Watch, 1 web process OK",
        ["Database slow since 02:14:07 UTC", "Redis full"],
    )
