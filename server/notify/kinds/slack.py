"""Slack's incoming webhooks, and those of Mattermost and others that take the same."""

from __future__ import annotations

import msgspec

from server.notify.kind import Kind, Parcel, Post
from server.notify.message import link


class Slack(Kind):
    """The path of the URL is its password."""

    name = "slack"
    title = "Slack"
    place = 2
    hint = "the URL of an incoming webhook, no secret"

    def messages(self, parcel: Parcel, public_url: str, now: float) -> list[Post]:
        return [Post(body(parcel.text, link(public_url, parcel.alert, parcel.incident, parcel.maintenance)))]


def body(text: str, address: str) -> bytes:
    """The JSON. Escaped, so that no name of a service can call a channel or hide a link."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return msgspec.json.encode({"text": f"{escaped} <{address}>", "unfurl_links": False})


KIND = Slack()
