"""Sign in, sign out, and the one-time link that makes the first administrator."""

from __future__ import annotations

from contextlib import suppress

from msgspec import Struct

from dashboard.shared.kept import SignInView, unseal
from dashboard.shared.local import local_address
from dashboard.shared.page import Page
from server.auth.passwords import SHORTEST
from server.auth.second_step import CodeNeeded
from server.auth.sessions import clear_session, write_session
from server.auth.signin import LINK_PATH, link_works
from server.kernel.errors import ApiError

REFUSED = ("UNAUTHENTICATED", "TOO_MANY_ATTEMPTS", "INVALID")


class CodeView(Struct):
    """The form of the second step; `first` proves the first one."""

    next: str
    first: str
    fault: str = ""
    kept: str = ""


class WelcomeView(Struct):
    """The form of the first administrator."""

    token: str
    email: str = ""
    fault: str = ""
    action: str = LINK_PATH
    shortest: int = SHORTEST


class SignIn(Page):
    """GET and POST /sign-in. `next` is where to go afterwards: an address of ours, or Now."""

    needs = None
    acts = None

    async def get(self) -> None:
        after = local_address(self.get_query_argument("next", "/"))
        if self.identity is not None:
            self.redirect(after)
            return
        self.form(SignInView(after, signed_out=self.get_query_argument("out", "") == "1"))

    async def post(self) -> None:
        after = local_address(self.get_body_argument("next", "/"))
        email = self.get_body_argument("email", "").strip()
        password = self.get_body_argument("password", "", strip=False)
        kept = self.get_body_argument("kept", "")
        try:
            token = await self.parts.auth.sign_in(email, password, *visitor(self))
        except CodeNeeded as needed:
            show_code_form(self, CodeView(after, needed.first, kept=kept))
            return
        except ApiError as error:
            refused(self, error)
            self.form(SignInView(after, email, error.detail, kept=kept))
            return
        go_on(self, token, after, kept)

    def form(self, view: SignInView) -> None:
        self.show("sign_in/sign_in.html", view, title="Sign in · Evenkeel", page="sign-in")


class SignInCode(Page):
    """/sign-in/code: the code after the right password; it is never looked at by itself."""

    needs = None
    acts = None

    async def get(self) -> None:
        self.see_other("/sign-in")

    async def post(self) -> None:
        after = local_address(self.get_body_argument("next", "/"))
        first, code = self.get_body_argument("first", ""), self.get_body_argument("code", "")
        kept = self.get_body_argument("kept", "")
        try:
            token = await self.parts.auth.sign_in_with_code(first, code, *visitor(self))
        except ApiError as error:
            refused(self, error)
            show_code_form(self, CodeView(after, first, error.detail, kept))
            return
        go_on(self, token, after, kept)


def go_on(page: Page, token: str, after: str, sealed: str) -> None:
    """Signed in: to where they wanted, or first what they had entered, which is sent only when they say so."""
    write_session(page, page.parts.env, token)
    kept = unseal(page.parts.env.secret_key, sealed)
    if kept is None:
        page.see_other(after)
        return
    page.began = token
    page.show("sign_in/again.html", kept, title="Signed in · Evenkeel", page="sign-in")


def show_code_form(page: Page, view: CodeView) -> None:
    page.show("sign_in/code.html", view, title="Code · Evenkeel", page="sign-in")


class SignOut(Page):
    """POST /sign-out ends the session everywhere; a GET, as a link would send, does nothing."""

    needs = None
    acts = None

    async def get(self) -> None:
        self.redirect("/")

    async def post(self) -> None:
        if self.identity is not None and self.identity.kind == "person":
            with suppress(ApiError):  # ended already, by somebody else a moment ago
                await self.parts.auth.sign_out(self.identity, self.request_id)
        clear_session(self, self.parts.env)
        self.see_other("/sign-in?out=1")


class Welcome(Page):
    """The one-time link: GET shows the form and changes nothing, POST makes the first administrator."""

    needs = None
    acts = None

    async def get(self) -> None:
        token = self.get_query_argument("token", "")
        if not await link_works(self.parts.db, token):
            raise ApiError("NOT_FOUND", "This link was used or has expired. Ask an administrator to add you.")
        self.form(WelcomeView(token))

    async def post(self) -> None:
        token = self.get_body_argument("token", "")
        email = self.get_body_argument("email", "").strip()
        password = self.get_body_argument("password", "", strip=False)
        address, agent, request_id = visitor(self)
        try:
            session = await self.parts.auth.accept_link(
                token, email, password, address=address, agent=agent, request_id=request_id
            )
        except ApiError as error:
            refused(self, error)
            self.form(WelcomeView(token, email, error.detail))
            return
        write_session(self, self.parts.env, session)
        self.see_other("/")

    def form(self, view: WelcomeView) -> None:
        self.show("sign_in/welcome.html", view, title="First administrator · Evenkeel", page="sign-in")


def visitor(page: Page) -> tuple[str, str, str]:
    """The address, the browser and the request id, for the sessions' list and the audit."""
    return page.request.remote_ip or "", page.request.headers.get("User-Agent", ""), page.request_id


def refused(page: Page, error: ApiError) -> None:
    """The status of a form that is shown again, saying why; anything but a refusal is an error page."""
    if error.code not in REFUSED:
        raise error
    page.set_status(error.status)
    if error.retry_after is not None:
        page.set_header("Retry-After", str(error.retry_after))
