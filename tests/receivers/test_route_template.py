"""The route of a path by what its segments look like."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.receivers.route_template import ROUTE_MAX, is_id, route_of

IDS = """
123 -5 550e8400-e29b-41d4-a716-446655440000 {550E8400-E29B-41D4-A716-446655440000} 0123456789abcdef0123 9f3c1ab
9f3c1ab77d deadbeefdeadbeef 507f1f77bcf86cd799439011 01ARZ3NDEKTSV4RRFFQ69G5FAV 01arz3ndektsv4rrffq69g5fav 2026-11-30
2026-11
2026-11-30T12:00:00Z a@b.de bob%40example.com @bob cus_NffrFeUfNV2Hib dQw4w9WgXcQ V1StGXR8_Z5jdHi6B-myT
eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U aGVsbG8gd29ybGQh aGVsbG8=
aGVsbG8%3D order-10234 main.3f9a8c1d.js k3j9x0z2m1 cjld2cjxh0000qzrmn831i7rn 0ujtsYcgvSTl8PAuAdqWYSMnLOv
"""
NAMES = """
users v1 v2.1 2.0 oauth2 health api index.html app.js jquery-3.7.1.min.js GetCustomerOrderHistoryReport2 shop.v1.Cart
GetUserByIdV2 sha256 utf-8 iso-8859-1 log4j base64 s3bucket oauth2-callback how-to-install-python-3 en-US de_DE
.well-known apple-app-site-association wp-admin x509 OAuth2TokenEndpoint :id {id} <int:pk> step-1 page2 facade deadbeef
a11y covid19 ed25519 getProductsByCategoryAndPriceRange caf%C3%A9 search *
"""


def test_what_is_an_id() -> None:
    assert [part for part in IDS.split() if not is_id(part)] == []
    assert [part for part in NAMES.split() if is_id(part)] == []


@pytest.mark.parametrize(
    ("target", "counted"),
    [
        ("/", "/"),
        ("/users/123/orders/9f3c77ab", "/users/:id/orders/:id"),
        ("/cafe/v2", "/cafe/v2"),
        ("/cart;jsessionid=1F", "/cart"),
        ("/a;v=1/b;w=2?x;y", "/a/b"),
        ("/42;x=1", "/:id"),
        ("http://shop.example/x/9?y", "/x/:id"),
        ("http://shop.example", "/"),
        ("/to?at=http://shop.example/x", "/to"),
        ("/to/http://shop.example/x", "/to/http://shop.example/x"),
        ("?a=b", "/"),
        ("*", "*"),
        ("/" + "x" * 600, "/:id"),
        ("/a" * 12, "/a" * 12),
        ("/a" * 40, "/a" * 12 + "/*"),
    ],
)
def test_routes(target: str, counted: str) -> None:
    assert route_of(target) == counted


@given(st.text(alphabet=string.printable + "é\0\u202e/%", max_size=120).map("/".__add__))
def test_a_route_is_its_own_route(path: str) -> None:
    route = route_of(path)
    assert len(route) <= ROUTE_MAX
    assert "\0" not in route
    assert route_of(route.partition("?")[0]) == route
