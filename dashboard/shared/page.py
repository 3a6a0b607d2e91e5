"""The base of every page: who looks, forms that cannot be forged, headers, and one way to render."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlencode, urlsplit

from markupsafe import Markup, escape
from tornado.httputil import HTTPInputError, parse_body_arguments
from tornado.web import HTTPError

from dashboard.shared.kept import KeptForm, SignInView, seal
from dashboard.shared.live import XSRF_FIELD, Ask, LivePage, make
from dashboard.shared.rendering import render, with_ago
from dashboard.shared.shell import shell
from server.auth.form_token import form_token, is_of
from server.auth.sessions import read_session, signed_before, write_session
from server.http.failures import as_api_error
from server.http.handler import Handler
from server.http.operation import Scope
from server.kernel import shared_clock
from server.kernel.errors import CODES, ApiError
from server.kernel.secret_key import unsigned

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


VISIT_COOKIE = "evenkeel_visit"
SAID_COOKIE = "evenkeel_said"
SAID_CHARACTERS = 1000
SAID_S = 60  # what nobody came to read by then is not told on some later page


class Page(Handler):
    """A page for a person. `needs` is the scope to look, `acts` the scope to send a form; None: open to strangers."""

    needs: Scope | None = "read"
    acts: Scope | None = "act"
    leads_to_sign_in = True  # whoever is not known
    visit = ""  # of somebody without a session, begun by this answer
    began = ""  # the session that this answer begins
    session_ended = False  # whoever sends this form had a session, which has ended: it is read, kept, and not done

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        self.set_header("X-Frame-Options", "DENY")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("Permissions-Policy", "camera=(), geolocation=(), microphone=()")

    async def admit(self) -> None:
        looking = self.request.method in ("GET", "HEAD")
        self.identity = await self.parts.auth.identify(self, allow_session=True)
        scope = self.needs if looking else self.acts
        if scope is None:
            return
        if self.identity is not None and signed_before(self, self.parts.env):
            write_session(self, self.parts.env, read_session(self, self.parts.env))
        if self.identity is None:
            if not looking and self.leads_to_sign_in and read_session(self, self.parts.env):
                self.session_ended = True  # `take` refuses it
                return
            raise ApiError("UNAUTHENTICATED", "Sign in first. Nothing was done.")
        if scope not in self.identity.scopes:
            raise ApiError("FORBIDDEN", f"{self.identity.name} may look but not do this; it needs {scope}.")

    def take(self) -> None:
        """Read the form, and see that it came from a page of ours."""
        if self.request.method in ("GET", "HEAD"):
            return
        request = self.request
        try:
            parse_body_arguments(
                request.headers.get("Content-Type", ""), request.body, request.body_arguments, request.files
            )
        except HTTPInputError as error:
            raise ApiError("BAD_REQUEST", f"The form cannot be read: {error}. Nothing was done.") from None
        for name, values in request.body_arguments.items():
            request.arguments.setdefault(name, []).extend(values)
        self.check_form_token()
        if self.session_ended:
            raise ApiError("UNAUTHENTICATED", "You were signed out. Nothing was done.")

    @property
    def whose(self) -> str:
        """What a form's token is bound to: the session, or the visit of who has none; empty before the first form."""
        session = self.began or read_session(self, self.parts.env)
        visit = self.visit or self.get_cookie(self.own_cookie(VISIT_COOKIE), "")
        return f"session {session}" if session else f"visit {visit}" if visit else ""

    def check_form_token(self) -> None:
        """ApiError FORBIDDEN for a form that did not come from a page of ours, shown to whoever sends it."""
        token = self.get_body_argument("_xsrf", "")
        if not self.whose or not is_of(token, self.parts.env.secret_key, self.whose):
            detail = "This form is too old, or it did not come from here. Nothing was done: go back, reload, try again."
            raise ApiError("FORBIDDEN", detail)

    def say(self, text: str) -> None:
        """What came of an act, to be told on the page that is shown next."""
        name = self.own_cookie(SAID_COOKIE)
        self.set_signed_cookie(name, text[:SAID_CHARACTERS], None, max_age=SAID_S, httponly=True, samesite="Lax")

    def said(self) -> str:
        """What is to be told here; it is told once."""
        name = self.own_cookie(SAID_COOKIE)
        text = unsigned(self.parts.env.secret_key, name, self.get_cookie(name), 1)
        if text is not None:
            self.clear_cookie(name)
        return text.decode(errors="replace") if text else ""

    def here(self) -> str:
        """The address to come back to: this one, or for a form the page that it stood on."""
        if self.request.method in ("GET", "HEAD"):
            return self.request.uri or "/"
        back = urlsplit(self.request.headers.get("Referer", ""))
        return (back.path or "/") + (f"?{back.query}" if back.query else "")

    def ask(self, page: LivePage, **given: str) -> Ask:
        """This request's view of a page: its arguments (from the path or the query) and what the viewer may."""
        args = {name: given.get(name) or self.get_query_argument(name, "") for name in page.args}
        may = frozenset(self.identity.scopes if self.identity else ())
        return Ask(tuple(sorted((name, value) for name, value in args.items() if value)), may)  # type: ignore[arg-type]

    async def show_live(self, page: LivePage, beside: Any = None, **given: str) -> None:
        """Answer with a live page; `beside` is the context of what is not live, `given` arguments from the path."""
        ask = self.ask(page, **given)
        await page.require(self.parts, ask)
        made = await make(page, self.parts, ask, shared_clock.now())

        def region(id_: str, classes: str = "", tag: str = "div") -> Markup:
            inner = Markup(made.regions[id_].replace(XSRF_FIELD, self.xsrf()))  # noqa: S704 - escaped by the template
            return Markup('<{0} id="{1}" class="{2}" data-region>{3}</{0}>').format(tag, id_, classes, inner)

        live = "/live?" + urlencode([("page", page.name), *ask.args])
        self.show(
            page.template,
            made.view,
            title=made.title,
            page=page.name,
            shell=made.shell,
            may=ask.may,
            region=region,
            notices=region("notices"),
            live=live,
            beside=beside,
        )

    def show(self, template: str, view: Any = None, *, title: str = "Evenkeel", page: str = "", **more: Any) -> None:
        """Answer with a page that extends base.html; `view` is its typed context, `page` its name in the navigation."""
        context = {
            "view": view,
            "title": title,
            "page": page,
            "who": self.identity,
            "may": frozenset(self.identity.scopes) if self.identity else frozenset(),
            "xsrf": self.xsrf,
            "static": self.static_url,
            "request_id": self.request_id,
            "live": None,
            "notices": "",
            "said": self.said() if "said" not in more else "",
        }
        if "shell" not in more:
            context["shell"] = shell(self.parts, shared_clock.now())
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(with_ago(render(template, **context | more), shared_clock.now()))

    def xsrf(self) -> Markup:
        """The hidden field that every form carries."""
        if not self.whose:
            # Lax, as the session: with Strict a link from a chat would come without it and be given another.
            visit = secrets.token_urlsafe(16)
            self.set_cookie(self.own_cookie(VISIT_COOKIE), visit, httponly=True, samesite="Lax")
            self.visit = visit
        token = form_token(self.parts.env.secret_key, self.whose)
        return Markup('<input type="hidden" name="_xsrf" value="{}">').format(token)

    def see_other(self, address: str) -> None:
        """After an act: go and look at what came of it."""
        self.redirect(address, status=303)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = as_api_error(kwargs.get("exc_info", (None, None, None))[1], status_code)
        if error.code == "UNAUTHENTICATED" and self.session_ended:
            self.tell(error)
            self.sign_in_first()
            return
        if error.code == "UNAUTHENTICATED" and self.leads_to_sign_in:
            looking = self.request.method in ("GET", "HEAD")
            self.redirect(f"/sign-in?{urlencode({'next': self.here()})}", status=302 if looking else 303)
            return
        document = self.tell(error)
        if "text/html" not in self.request.headers.get("Accept", "text/html"):
            self.finish(document)  # no browser
            return
        title = CODES[error.code][1]
        try:
            self.show("error.html", error, title=title)
        except Exception:
            # The page about a failure must not fail: without the templates the bare words remain.
            self.finish(f"<!doctype html><title>{escape(title)}</title><p>{escape(error.detail)}</p>")
            raise

    def sign_in_first(self) -> None:
        """The sign-in, with what was entered kept for afterwards."""
        sent = self.request.body_arguments
        fields = [(name, one) for name in sorted(set(sent) - {"_xsrf"}) for one in self.get_body_arguments(name)]
        kept = seal(self.parts.env.secret_key, KeptForm(self.request.path, self.here(), fields))
        after = "What you entered is kept until you have signed in." if kept else "Enter it again after signing in."
        view = SignInView(self.here(), fault=f"You were signed out. Nothing was done. {after}", kept=kept)
        self.show("sign_in/sign_in.html", view, title="Sign in · Evenkeel", page="sign-in")

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, ApiError | HTTPError):
            super().log_exception(typ, value, tb)


class PageNotFound(Page):
    """Any address that is no page. What is sent here is led nowhere else: senders take a redirect for delivered."""

    needs = None
    acts = None

    @classmethod
    def takes(cls, method: str) -> bool:
        """Any method finds nothing."""
        return True

    async def admit(self) -> None:
        await super().admit()
        raise ApiError("NOT_FOUND", f"{self.request.path} is not a page. What you look for may have moved or ended.")
