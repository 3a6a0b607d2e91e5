"""The browser of tests/dashboard."""

from tests.dashboard.conftest import browser, signed_in, visit

__all__ = ("browser", "signed_in", "visit")
