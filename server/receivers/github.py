"""GitHub's webhooks `deployment_status` and `release`: what they say of changes. See docs/connect/changes.md.

A deployment is one change, which its states move on; of `inactive`, and of what only waits, nothing is concluded. A
release alone puts no version anywhere.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Literal
from urllib.parse import parse_qs

from msgspec import Struct

from server.receivers.told_change import (
    NAME_MAX,
    SUMMARY_MAX,
    VERSION_MAX,
    NothingTold,
    ToldChange,
    decoded,
    link,
    moment,
    shown,
)

Told = str | int  # a time, in one of six forms
STATES: dict[str, Literal["started", "finished", "failed"]] = {
    "in_progress": "started",
    "success": "finished",
    "failure": "failed",
    "error": "failed",
}


class Repository(Struct):
    """Where it happened."""

    id: int
    name: str


class Login(Struct):
    """Who did it."""

    login: str = ""


class Deployment(Struct):
    """What is deployed, and where to."""

    id: int
    sha: str
    environment: str = ""
    production_environment: bool | None = None
    description: str | None = None
    creator: Login | None = None


class DeploymentStatus(Struct):
    """How far it is since `created_at`."""

    state: str
    created_at: Told
    description: str | None = None
    log_url: str | None = None
    target_url: str | None = None


class DeploymentEvent(Struct):
    """A `deployment_status`."""

    repository: Repository
    deployment: Deployment
    deployment_status: DeploymentStatus


class GithubRelease(Struct):
    """A release; its `created_at` is the time of the commit."""

    id: int
    tag_name: str
    published_at: Told | None = None
    name: str | None = None
    html_url: str | None = None
    prerelease: bool = False
    author: Login | None = None


class ReleaseEvent(Struct):
    """A `release`."""

    action: str
    repository: Repository
    release: GithubRelease


def signed_by(secret: str, header: str, body: bytes) -> bool:
    """Whether X-Hub-Signature-256 is of this body by this secret."""
    made = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
    return hmac.compare_digest(made.encode(), header.strip().encode())


def document(body: bytes, media: str) -> bytes:
    """The JSON of a body, which a webhook that is made without choosing sends as a field of a form."""
    if media != "application/x-www-form-urlencoded":
        return body
    return parse_qs(body.decode("utf-8", "replace")).get("payload", [""])[0].encode()


def read(event: str, body: bytes) -> ToldChange | NothingTold:
    """What the event of the header X-GitHub-Event says. ApiError INVALID names the field."""
    if event == "deployment_status":
        return of_deployment(decoded(body, DeploymentEvent))
    if event == "release":
        return of_release(decoded(body, ReleaseEvent))
    return NothingTold(f"{shown(event, NAME_MAX) or 'No event'} is neither deployment_status nor release.")


def of_deployment(sent: DeploymentEvent) -> ToldChange | NothingTold:
    deployment, status = sent.deployment, sent.deployment_status
    state = STATES.get(status.state)
    if state is None:
        return NothingTold(f"The state {shown(status.state, NAME_MAX)} says nothing of what runs.")
    at = moment("deployment_status.created_at", status.created_at)
    return ToldChange(
        platform="github",
        event=f"{sent.repository.id}/deployment/{deployment.id}",
        service=shown(sent.repository.name, NAME_MAX),
        kind="deploy",
        version=shown(deployment.sha, VERSION_MAX),
        summary=shown(status.description or deployment.description, SUMMARY_MAX),
        environment="" if deployment.production_environment else shown(deployment.environment, NAME_MAX),
        state=state,
        began=at,
        ended=None if state == "started" else at,
        actor=login(deployment.creator),
        link=link(status.log_url) or link(status.target_url),
    )


def of_release(sent: ReleaseEvent) -> ToldChange | NothingTold:
    release = sent.release
    if sent.action != "published" or release.published_at is None:
        return NothingTold(f"A release that is {shown(sent.action, NAME_MAX)} is told when it is published.")
    at, tag = moment("release.published_at", release.published_at), shown(release.tag_name, VERSION_MAX)
    title = shown(release.name, SUMMARY_MAX)
    return ToldChange(
        platform="github",
        event=f"{sent.repository.id}/release/{release.id}",
        service=shown(sent.repository.name, NAME_MAX),
        kind="other",
        version=tag,
        summary=shown(f"{'pre-release' if release.prerelease else 'release'} {tag} {title}", SUMMARY_MAX),
        began=at,
        ended=at,
        actor=login(release.author),
        link=link(release.html_url),
    )


def login(who: Any) -> str:
    return shown(who.login, NAME_MAX) if isinstance(who, Login) else ""
