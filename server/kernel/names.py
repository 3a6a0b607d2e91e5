"""Names that Evenkeel itself gives: its own service, and what is counted together."""

from __future__ import annotations

OWN = "evenkeel"  # our own service, and who makes what nobody else has made
OTHER = "(other)"  # what came over a cap of services, routes or versions, and what is not shown apart
