"""Addresses to go to after sign-in are ours, however they are written."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.shared.local import local_address

BASE = "https://evenkeel.example/sign-in"


@pytest.mark.parametrize(
    "given_address",
    [
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/%09/../\n/evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "evil.example",
        "",
        " /",
        "/a\\..\\b",
        "/ü",
        "/" + "a" * 3000,
        "/sign-in?next=/",
        "/sign-out",
    ],
)
def test_what_is_not_plainly_ours_leads_to_now(given_address: str) -> None:
    assert local_address(given_address) == "/"


@pytest.mark.parametrize("ours", ["/", "/services/shop?window=6h", "/config#history", "/services/a%2Fb", "/setup"])
def test_an_address_of_ours_is_kept(ours: str) -> None:
    assert local_address(ours, "/elsewhere") == ours


@given(st.text(alphabet=st.sampled_from("/\\.:@?#%\t\n\r ab\x00é"), max_size=12))
def test_a_browser_never_leaves_the_site(text: str) -> None:
    # A browser drops tabs and line breaks and reads a backslash as a slash before it joins.
    seen = local_address(text).translate({ord(c): None for c in "\t\n\r"}).replace("\\", "/").strip()
    assert urlsplit(urljoin(BASE, seen)).netloc == "evenkeel.example"
