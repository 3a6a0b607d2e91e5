"""The API at a glance: one table of every domain's addresses. Domains import Route from server/route.py."""

from __future__ import annotations

from server.route import Route

__all__ = ["API", "Route"]

API: tuple[Route, ...] = ()
