"""What the documents of a policy file share: names, texts, and how their fields are written."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Name = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
ServiceName = Annotated[str, Meta(min_length=1, max_length=255)]
Title = Annotated[str, Meta(max_length=255)]
Description = Annotated[str, Meta(max_length=1050)]
Labels = dict[str, str | list[str]]


class Part(Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    """A part of a document: fields in camelCase, unknown ones refused."""


class Metadata(Part, frozen=True):
    name: Name
    display_name: Title = ""
    labels: Labels = {}
    annotations: dict[str, str] = {}


class ServiceMetadata(Part, frozen=True):
    name: ServiceName  # as senders write it
    display_name: Title = ""
    labels: Labels = {}
    annotations: dict[str, str] = {}
