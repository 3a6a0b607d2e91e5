"""GitLab's webhooks of deployments and releases: what they say of changes. See docs/connect/changes.md."""

from __future__ import annotations

import re
from typing import Literal

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

STATES: dict[str, Literal["started", "finished", "failed"]] = {
    "running": "started",
    "success": "finished",
    "failed": "failed",
    "canceled": "failed",
}
COMMIT = re.compile(r"/commit/([0-9a-f]{40,64})\b")


class GitlabProject(Struct):
    """Where it happened; `path_with_namespace` ends with its name in addresses."""

    id: int
    path_with_namespace: str


class GitlabUser(Struct):
    """Who did it."""

    username: str = ""


class GitlabKind(Struct):
    """What an event is."""

    object_kind: str


class GitlabDeployment(Struct):
    """A deployment event. `short_sha` are eight characters of the commit, whose address has all of them."""

    project: GitlabProject
    deployment_id: int
    status: str
    status_changed_at: str
    short_sha: str
    commit_url: str = ""
    commit_title: str | None = None
    environment: str = ""
    environment_tier: str | None = None
    deployable_url: str | None = None
    user: GitlabUser | None = None


class GitlabRelease(Struct):
    """A release event; a release may be dated ahead, and is out from `released_at` on."""

    project: GitlabProject
    action: str
    id: int
    tag: str
    released_at: str
    name: str = ""
    url: str | None = None


def read(body: bytes) -> ToldChange | NothingTold:
    """What an event says. ApiError INVALID names the field."""
    kind = decoded(body, GitlabKind).object_kind
    if kind == "deployment":
        return of_deployment(decoded(body, GitlabDeployment))
    if kind == "release":
        return of_release(decoded(body, GitlabRelease))
    return NothingTold(f"{shown(kind, NAME_MAX)} is neither deployment nor release.")


def of_deployment(sent: GitlabDeployment) -> ToldChange | NothingTold:
    state = STATES.get(sent.status)
    if state is None:
        return NothingTold(f"The status {shown(sent.status, NAME_MAX)} says nothing of what runs.")
    at, commit = moment("status_changed_at", sent.status_changed_at), COMMIT.search(sent.commit_url)
    production = sent.environment_tier == "production"
    return ToldChange(
        platform="gitlab",
        event=f"{sent.project.id}/deployment/{sent.deployment_id}",
        service=service_of(sent.project),
        kind="deploy",
        version=shown(commit[1] if commit else sent.short_sha, VERSION_MAX),
        summary=shown(sent.commit_title, SUMMARY_MAX),
        environment="" if production else shown(sent.environment, NAME_MAX),
        state=state,
        began=at,
        ended=None if state == "started" else at,
        actor=shown(sent.user.username, NAME_MAX) if sent.user else "",
        link=link(sent.deployable_url) or link(sent.commit_url),
    )


def of_release(sent: GitlabRelease) -> ToldChange | NothingTold:
    if sent.action != "create":
        return NothingTold(f"A release is told when it is made, not at {shown(sent.action, NAME_MAX)}.")
    at, tag = moment("released_at", sent.released_at), shown(sent.tag, VERSION_MAX)
    return ToldChange(
        platform="gitlab",
        event=f"{sent.project.id}/release/{sent.id}",
        service=service_of(sent.project),
        kind="other",
        version=tag,
        summary=shown(f"release {tag} {'' if sent.name == sent.tag else sent.name}", SUMMARY_MAX),
        began=at,
        ended=at,
        link=link(sent.url),
    )


def service_of(project: GitlabProject) -> str:
    return shown(project.path_with_namespace.rpartition("/")[2], NAME_MAX)
