"""What platforms tell of changes: recordings, the ways in which they write times, versions and environments."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from server.kernel.errors import ApiError
from server.receivers import cdevents, github, gitlab, pagerduty_change
from server.receivers.environment import named as in_environment
from server.receivers.told_change import (
    NothingTold,
    ToldChange,
    moment,
    shortened,
    version_of_purl,
)

SHARED = Path("/work/shared/data")
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
SHA = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"


def change(found: ToldChange | NothingTold) -> ToldChange:
    assert isinstance(found, ToldChange), found
    return found


@pytest.mark.parametrize(
    "told",
    [
        "2026-11-30T12:00:00Z",
        "2026-11-30T12:00:00+00:00",
        "2026-11-30T12:00:00+00:00Z",
        "2026-11-30T12:00:00.000Z",
        "2026-11-30T07:00:00.000-05:00",
        "2026-11-30T14:00:00.000000000+02:00",
        "2026-11-30 13:00:00 +0100",
        "2026-11-30 12:00:00 UTC",
        1796040000,
    ],
)
def test_a_time_with_its_zone_is_read_however_it_is_written(told: str | int) -> None:
    assert moment("at", told) == NOON


@pytest.mark.parametrize(
    "told", ["2026-11-30 12:00:00", "2026-11-30T12:00:00", "0001-01-01T00:00:00Z", 0, 10**30, "", "yesterday", "Z"]
)
def test_a_time_without_a_zone_or_that_was_never_set_is_refused(told: str | int) -> None:
    with pytest.raises(ApiError, match=r"^at: ") as found:
        moment("at", told)
    assert found.value.code == "INVALID"


def test_versions_and_environments() -> None:
    assert version_of_purl("pkg:oci/myapp@sha256%3A0b31") == "sha256:0b31"
    assert version_of_purl("pkg:oci/myapp@sha256%3A0b31?repository_url=ghcr.io/a&tag=v1.2") == "v1.2"
    assert version_of_purl("pkg:golang/github.com/a/b@v1#sub@c") == "v1"
    assert (version_of_purl("pkg:oci/myapp"), version_of_purl("v7")) == ("pkg:oci/myapp", "v7")
    assert shortened(SHA, "4e81b07") == SHA[:7]
    assert [shortened(SHA, one) for one in ("", "v1.2.3-4", "abc", SHA)] == [SHA] * 4
    assert shortened("v1.2", "4e81b07") == "v1.2"
    assert [in_environment("a", one) for one in ("", "Production", "prod", "live")] == ["a"] * 4
    assert in_environment("a", "staging") == "a@staging"
    assert in_environment("a" * 300, "staging").endswith("a@staging"), "as its spans have it, however long"


def deployment(state: str = "success", at: Any = "2026-11-30T12:00:00Z", **more: Any) -> bytes:
    sent = {
        "repository": {"id": 1, "name": "checkout", "created_at": 1557933565},
        "deployment": {"id": 7, "sha": SHA, "environment": "production", "creator": {"login": "mira"}} | more,
        "deployment_status": {"state": state, "created_at": at, "log_url": "https://ci.example/1"},
    }
    return json.dumps(sent).encode()


def test_a_deployment_of_github() -> None:
    found = change(github.read("deployment_status", deployment()))
    assert (found.event, found.service, found.version, found.state) == ("1/deployment/7", "checkout", SHA, "finished")
    assert (found.began, found.ended, found.actor, found.link) == (NOON, NOON, "mira", "https://ci.example/1")
    begun = change(github.read("deployment_status", deployment("in_progress", environment="staging")))
    assert (begun.state, begun.ended, begun.environment) == ("started", None, "staging")
    assert change(github.read("deployment_status", deployment("error"))).state == "failed"
    own = deployment(environment="github-pages", production_environment=True)
    assert change(github.read("deployment_status", own)).environment == ""
    for state in ("inactive", "queued", "pending", "new-state"):
        assert isinstance(github.read("deployment_status", deployment(state)), NothingTold)
    with pytest.raises(ApiError, match=r"deployment_status\.created_at"):
        github.read("deployment_status", deployment(at="2026-11-30 12:00:00"))


def test_a_release_of_github_is_of_when_it_was_published() -> None:
    release = {"id": 3, "tag_name": "v1", "created_at": "2019-05-15T15:19:25Z", "published_at": "2026-11-30T12:00:00Z"}
    sent = {"action": "published", "repository": {"id": 1, "name": "checkout"}, "release": release}
    found = change(github.read("release", json.dumps(sent).encode()))
    assert (found.kind, found.version, found.began, found.summary) == ("other", "v1", NOON, "release v1")
    for other in ({"action": "edited"}, {"release": release | {"published_at": None}}):
        assert isinstance(github.read("release", json.dumps(sent | other).encode()), NothingTold)
    assert isinstance(github.read("ping", b"{}"), NothingTold)


def test_events_of_gitlab() -> None:
    sent: dict[str, Any] = {
        "object_kind": "deployment",
        "status": "success",
        "status_changed_at": "2026-11-30 13:00:00 +0100",
        "deployment_id": 15,
        "environment": "prod-eu",
        "environment_tier": "production",
        "project": {"id": 30, "path_with_namespace": "shop/checkout"},
        "short_sha": "279484c0",
        "commit_url": f"https://gitlab.example/shop/checkout/-/commit/{SHA}",
        "user": {"username": "mira"},
    }
    found = change(gitlab.read(json.dumps(sent).encode()))
    assert (found.event, found.service, found.version, found.environment) == ("30/deployment/15", "checkout", SHA, "")
    assert (found.began, found.actor) == (NOON, "mira")
    assert change(gitlab.read(json.dumps(sent | {"commit_url": ""}).encode())).version == "279484c0"
    assert isinstance(gitlab.read(json.dumps(sent | {"status": "blocked"}).encode()), NothingTold)
    release = {"object_kind": "release", "action": "create", "id": 1, "tag": "v1", "name": "v1"}
    release |= {"released_at": "2026-11-30 12:00:00 UTC", "project": sent["project"]}
    assert change(gitlab.read(json.dumps(release).encode())).summary == "release v1"
    assert isinstance(gitlab.read(b'{"object_kind": "push"}'), NothingTold)


def cdevent(what: str = "deployed", **content: Any) -> dict[str, Any]:
    context = {"id": "1", "source": "/ci", "type": f"dev.cdevents.service.{what}.0.3.0"}
    return {"context": context, "subject": {"id": "checkout", "content": content}}


def test_cdevents_in_each_mode_and_whose_time_it_is() -> None:
    event = cdevent(artifactId="pkg:oci/checkout@v2")
    alone = change(cdevents.read(json.dumps(event).encode(), "application/json", {}))
    assert (alone.kind, alone.version, alone.began) == ("deploy", "v2", None), "nobody told the time"
    noon = "2026-11-30T12:00:00Z"
    binary = cdevents.read(json.dumps(event).encode(), "application/json", {"Ce-Time": noon})
    structured = {"specversion": "1.0", "id": "9", "source": "/relay", "type": "x", "time": noon, "data": event}
    found = cdevents.read(json.dumps(structured).encode(), cdevents.STRUCTURED, {})
    assert binary == found, "the event itself says what it is"
    assert change(found).began == NOON
    event["context"]["timestamp"] = "2026-11-30T13:00:00+01:00"
    relayed = json.dumps(structured | {"time": "2026-11-30T18:00:00Z"}).encode()
    assert change(cdevents.read(relayed, cdevents.STRUCTURED, {})).began == NOON, "not that of the relay"
    other = json.dumps({"context": event["context"] | {"type": "dev.cdevents.build.started.0.3.0"}}).encode()
    assert isinstance(cdevents.read(other, "application/json", {}), NothingTold)


def test_a_service_that_is_removed_or_published_brings_no_version() -> None:
    removed = change(cdevents.read(json.dumps(cdevent("removed")).encode(), "application/json", {}))
    assert (removed.kind, removed.version, removed.summary) == ("other", "", "removed")
    back = change(cdevents.read(json.dumps(cdevent("rolledback", artifactId="v1")).encode(), "application/json", {}))
    assert (back.kind, back.version, back.returns) == ("deploy", "v1", True)


def test_a_change_event_of_pagerduty() -> None:
    body = {
        "routing_key": "k",
        "payload": {"summary": "deployed v2", "source": "ci", "timestamp": "2026-11-30T12:00:00Z"},
    }
    found = pagerduty_change.change_of(pagerduty_change.read(json.dumps(body).encode()), 1)
    assert (found.kind, found.version, found.service, found.began) == ("other", "", "ci", NOON)
    details = {"version": "v2", "service": "checkout", "environment": "staging", "sha": 7}
    body["payload"] |= {"custom_details": details}  # type: ignore[operator]
    deploy = pagerduty_change.change_of(pagerduty_change.read(json.dumps(body).encode()), 1)
    assert (deploy.kind, deploy.version, deploy.service, deploy.environment) == ("deploy", "v2", "checkout", "staging")
    assert found.event != deploy.event
    assert (
        deploy.event == pagerduty_change.change_of(pagerduty_change.read(json.dumps(body, indent=2).encode()), 1).event
    )


def test_an_alert_of_pagerduty_is_no_change() -> None:
    sent = {"routing_key": "k", "event_action": "trigger", "payload": {"summary": "down", "source": "ci"}}
    with pytest.raises(ApiError, match="event_action"):
        pagerduty_change.read(json.dumps(sent).encode())


@pytest.mark.skipif(not SHARED.exists(), reason="the recordings are not here")
def test_every_recording_is_taken() -> None:
    for what, kind in (("deployed", "deploy"), ("upgraded", "deploy"), ("rolledback", "deploy"), ("removed", "other")):
        body = (SHARED / f"drains/cdevents-service-{what}.json").read_bytes()
        found = change(cdevents.read(body, "application/json", {}))
        assert (found.kind, found.service, found.environment) == (kind, "mySubject123", "test123")
        assert found.began == datetime(2023, 3, 20, 14, 27, 5, 315384, tzinfo=UTC)
        assert found.version.startswith("sha256:0b31") is (kind == "deploy")
    sent = json.loads((SHARED / "webhooks/pagerduty-slack-requests.json").read_text())
    for one in (each for each in sent if each["path"] == "/v2/change/enqueue"):
        assert pagerduty_change.change_of(pagerduty_change.read(one["body"].encode()), 1).service == "ci"
