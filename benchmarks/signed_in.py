"""Somebody signed in: for benches of pages."""

from __future__ import annotations

import http.client
import json
import re
from urllib.parse import urlencode, urlsplit

from tests.running import Running

EMAIL, PASSWORD = "bench@example.com", "a password for the bench"


def signed_in(server: Running, role: str) -> str:
    """Make somebody of the role and sign in; the cookies."""
    server.person(EMAIL, role, PASSWORD)
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    connection.request("GET", "/sign-in")
    page = connection.getresponse()
    cookie = cookies(page)
    found = re.search(r'name="_xsrf" value="([^"]+)"', page.read().decode())
    assert found is not None, "the sign-in form has no XSRF field"
    form = urlencode({"email": EMAIL, "password": PASSWORD, "next": "/", "_xsrf": found[1]})
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/sign-in", form, headers)
    answer = connection.getresponse()
    assert answer.status in (302, 303), json.dumps([answer.status, answer.read().decode()[:300]])
    return f"{cookie}; {cookies(answer)}"


def cookies(answer: http.client.HTTPResponse) -> str:
    return "; ".join(value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie", []))
