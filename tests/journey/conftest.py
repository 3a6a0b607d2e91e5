"""The browser of tests/dashboard."""

from tests.dashboard.conftest import browser, shared, signed_in, visit

__all__ = ("browser", "shared", "signed_in", "visit")
