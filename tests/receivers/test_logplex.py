"""Heroku's Logplex frames: requests of the router, changes of the API, losses, and log lines."""

from __future__ import annotations

from server.receivers.drained import Drained, LostLines
from server.receivers.logplex import read
from server.receivers.route_template import route_of

AT = 1_796_040_000_123_456
HEAD = "<158>1 2026-11-30T12:00:00.123456+00:00 host"
ROUTER = f"{HEAD} heroku router - "
API = f"{HEAD} app api - "


def frames(*messages: str) -> bytes:
    """As Logplex frames them: the count is of bytes, and includes the LF."""
    return b"".join(f"{len(text.encode()) + 1} {text}\n".encode() for text in messages)


def drained(*messages: str, service: str = "shop") -> Drained:
    found = read(frames(*messages), AT + 5_000_000, service)
    assert found.messages == len(messages)
    return found


def router(pairs: str) -> tuple[object, ...]:
    (found,) = drained(ROUTER + pairs).requests
    assert (found.service, found.at) == ("shop", AT)
    return (
        found.method,
        route_of(found.target),
        found.status,
        found.duration_us,
        found.failed,
        found.abandoned,
        found.error_class,
    )


def test_lines_of_the_router() -> None:
    usual = (
        'at=info method=GET path="/users/123?x=a=b" host=shop.herokuapp.com request_id=8601b555-6a83 fwd="1.2.3.4"'
        " dyno=web.1 connect=1ms service=18ms status=200 bytes=13 protocol=https tls=true tls_version=tls1.3"
    )
    assert router(usual) == ("GET", "/users/:id", 200, 19_000, None, False, "")
    (found,) = drained(ROUTER + usual).requests
    assert (found.instance, found.request_id) == ("web.1", "8601b555-6a83")
    bare = (
        "at=info method=GET path=/a b host=x fwd=1.2.3.4, 5.6.7.8 dyno=web.1 connect=0 service=5ms status=404 bytes=1"
    )
    assert router(bare) == ("GET", "/a b", 404, 5_000, None, False, "")


def test_codes_of_the_router() -> None:
    tail = 'method=POST path="/pay" host=x fwd="1.2.3.4" dyno=web.1'
    crashed = f'at=error code=H10 desc="App crashed" {tail} connect= service= status=503 bytes='
    assert router(crashed) == ("POST", "/pay", 503, None, None, False, "H10")
    left = (
        f'sock=client at=warning code=H27 desc="Client Request Interrupted" {tail} connect=1ms service=9ms status=499'
    )
    assert router(left)[4:] == (None, True, "H27")
    # What had been sent of the answer said 200, and it was never whole.
    broken = f'sock=backend at=error code=H18 desc="Server Request Interrupted" {tail} connect=0 service=3ms status=200'
    assert router(broken) == ("POST", "/pay", 200, 3_000, True, False, "H18")


def test_a_path_does_not_say_what_became_of_it() -> None:
    line = 'at=info method=GET path="/x" status=200 service=1ms" host=x fwd="1.2.3.4" dyno=web.1 service=7ms status=503'
    assert router(line)[2:4] == (503, 7_000)


def test_what_an_application_logs_of_a_request_is_a_log_line() -> None:
    found = drained(
        f'{HEAD} app web.1 - {{"method":"GET","path":"/x","status":200,"request_id":"r-1"}}',
        f"{HEAD} app web.2 - [1b4e28ba-2fa1-11d2-883f-0016d3cca427] ERROR zwei\\nZeilen a=b=c",
        f"{HEAD} heroku web.1 - Error R14 (Memory quota exceeded)",
        f"{ROUTER}at=info method=GET",
    )
    assert not found.requests
    assert found.left == {"no request of the router": 1}
    assert [(line.instance, line.request_id, line.severity, line.level) for line in found.lines] == [
        ("web.1", "r-1", 0, ""),
        ("web.2", "1b4e28ba-2fa1-11d2-883f-0016d3cca427", 17, "ERROR"),
        ("web.1", "", 17, "R14"),
        ("router", "", 0, ""),
    ]
    assert found.lines[1].text.endswith("a=b=c")


def test_changes() -> None:
    """A release is one change, in whichever order its two lines come; what an application prints is none."""
    found = drained(
        f"{API}Deploy 4e81b07f by user a@b.de",
        f"{API}Release v42 created by user a@b.de",
        f"{API}Release v43 created by user a@b.de",
        f"{API}Set KEY, OTHER config vars by user a@b.de",
        f"{API}Rollback to v40 by user c@b.de",
        f"{API}Release v44 created by user c@b.de",
        f"{API}Scaled to web@2:Standard-1X worker@1:Hobby by user a@b.de",
        f"{API}Set LATER config vars by user a@b.de",
        f"{HEAD} app web.1 - Release v99 created by user a@b.de",
    )
    assert [(one.kind, one.version, one.summary, one.actor, one.returns) for one in found.changes] == [
        ("deploy", "v42", "Deploy 4e81b07f", "a@b.de", False),
        ("other", "v43", "Set KEY, OTHER config vars", "a@b.de", False),
        ("deploy", "v44", "Rollback to v40", "c@b.de", True),
        ("scale", "web@2:Standard-1X worker@1:Hobby", "scaled to web@2:Standard-1X worker@1:Hobby", "a@b.de", False),
        ("other", "Set LATER config vars", "Set LATER config vars", "a@b.de", False),
    ]
    assert {one.at for one in found.changes} == {AT}
    assert len(found.lines) == 9


def test_lines_of_releases_that_are_mixed_belong_together_by_their_moment() -> None:
    """As Heroku wrote them in 2018; and as shippers between, and Logplex in 2012, put more into the header."""
    later = API.replace("123456", "623456")
    found = drained(
        f"{later}Enable Logplex by user a@b.de",
        f"{API}- Release v1 created by user a@b.de",
        f"{later}Release v2 created by user a@b.de",
        f"{API}Initial release by user a@b.de",
    )
    assert [(one.version, one.summary) for one in found.changes] == [
        ("v1", "Initial release"),
        ("v2", "Enable Logplex"),
    ]
    old = "<40>1 2026-11-30T12:00:00+00:00 heroku web.3 d.73ea7440-270a-435a-a0ea-adf50b4e5f5a - "
    assert drained(f"{old}State changed from starting to up").lines[0].instance == "web.3"


def test_what_was_dropped() -> None:
    overflow = f"{HEAD} heroku logplex - Error L10 (output buffer overflow): "
    found = drained(
        f"{overflow}491 messages dropped since 2026-11-30T11:59:00+00:00.",
        f"{overflow}drain 'd.1' dropped 7 messages since 2026-11-30T11:58:00.5+00:00",
        f"{HEAD} heroku logplex - Error L11 (tail buffer overflow): 3 messages dropped since 2026-11-30T11:58:00+00:00",
    )
    since = AT - 60_123_456
    assert found.lost == [LostLines("shop", 491, since, AT), LostLines("shop", 7, since - 59_500_000, AT)]


def test_a_service_that_nobody_names_is_the_host_that_the_router_names() -> None:
    pairs = "at=info method=GET path=/ host={} fwd=1.2.3.4 dyno=web.1 connect=0ms service=5ms status=200 bytes=1"
    hosts = ("shop-0a1b2c3d4e5f.herokuapp.com", "shop.herokuapp.com", "shop.example")
    found = drained(*(ROUTER + pairs.format(host) for host in hosts), service="")
    assert [one.service for one in found.requests] == ["shop", "shop", "shop.example"]


def test_a_line_of_nothing_but_names_is_read_once() -> None:
    """Where each name looks for the end of its value anew, this takes hours, and holds up the whole process."""
    found = drained(ROUTER + 'at=info method=GET path="/ ' * 30_000)
    assert len(found.requests) + len(found.lines) == 1
